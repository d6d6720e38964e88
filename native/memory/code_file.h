// Machine code of several WebAssembly modules in one file. Who reads it gives it to V8, which ends the process when code is
// damaged or another module's: so all of it is checked here.
//
//   header | a table entry for each module: hash of the module, length of its code | the codes, one after the other
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"

namespace sandloom {

struct ModuleCode {
  std::uint64_t wasm_hash;  // hashOfModule
  std::span<const std::byte> code;  // empty if there is none
};

std::uint64_t hashOfModule(std::span<const std::byte> wasm);

// Replaces the file at once. Errors: SystemError.
void writeCodeFile(const std::string& path, std::span<const ModuleCode> modules);

class CodeFile {
 public:
  // Errors: BadImage if it is damaged or cut short, SystemError if it cannot be read.
  explicit CodeFile(const std::string& path);

  // What `codes` refer to lies in the file's mapping, which goes with this object.
  std::span<const ModuleCode> modules() const { return modules_; }

 private:
  Mapping mapping_;
  std::vector<ModuleCode> modules_;
};

}  // namespace sandloom
