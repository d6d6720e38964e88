// store*, account*, region*.
#pragma once

#include <napi.h>

namespace sandloom::addon {

void exportStoreFunctions(Napi::Object exports);

}  // namespace sandloom::addon
