// What all threads of the process share.
#pragma once

#include <memory>

#include "memory/image_table.h"
#include "memory/region_store.h"

namespace sandloom::addon {

struct Process {
  ImageTable images;
  RegionStore store;

  // Made at first use and never destroyed: a worker's finalizers may run after the main thread's statics are gone, and
  // the library itself is never unloaded (-z nodelete), because the store's thread runs its code.
  static Process& get() {
    static Process& process = *std::make_unique<Process>().release();
    return process;
  }
};

}  // namespace sandloom::addon
