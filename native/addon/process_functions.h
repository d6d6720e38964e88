// processMemory, capabilities.
#pragma once

#include <napi.h>

namespace sandloom::addon {

void exportProcessFunctions(Napi::Object exports);

}  // namespace sandloom::addon
