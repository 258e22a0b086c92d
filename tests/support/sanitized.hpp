#pragma once

namespace ntk::testing {

#ifndef __has_feature
#define __has_feature(name) 0
#endif
/// Whether this is compiled for a sanitizer, which has an allocator of its own and keeps what is freed for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace ntk::testing
