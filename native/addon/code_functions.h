// Machine code that V8 made of a WebAssembly module: taken out of a process, and given to another one.
#pragma once

#include <napi.h>

namespace sandloom::addon {

void exportCodeFunctions(Napi::Object exports);

}  // namespace sandloom::addon
