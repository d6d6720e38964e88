// Copies a sparse file into a memfd, data extents only.
#pragma once

#include <cstddef>

#include "base/file_descriptor.h"

namespace sandloom {

// Copies the first `bytes` of `from` that are data to the same places of `to`, which must be all hole. Pages of zeros
// are left holes, so a file that lost its sparseness in transport still costs only its content. Errors: SystemError.
void copySparse(const FileDescriptor& from, std::size_t bytes, const FileDescriptor& to);

}  // namespace sandloom
