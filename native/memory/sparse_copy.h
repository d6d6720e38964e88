// Copies a sparse file into a memfd, data extents only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/file_descriptor.h"

namespace sandloom {

// Copies the first `bytes` of `from` that are data to the same places of `to`, which must be all hole. Pages of zeros
// are left holes, so a file that lost its sparseness in transport still costs only its content. Returns a hash of the content: the
// same whether pages of zeros are holes or not. Errors: SystemError.
std::uint64_t copySparse(const FileDescriptor& from, std::size_t bytes, const FileDescriptor& to);

}  // namespace sandloom
