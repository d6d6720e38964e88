// imageOpen, imageClose.
#pragma once

#include <napi.h>

namespace sandloom::addon {

void exportImageFunctions(Napi::Object exports);

}  // namespace sandloom::addon
