// Loops are compiled for several instruction sets; the best is chosen when the program starts.
#pragma once

// The choice is made by a resolver that runs before a sanitizer is ready, hence not under them.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    defined(__GNUC__) && !defined(__clang__)
#define TIDEMARK_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TIDEMARK_CLONES
#endif

// A loop body that must become part of its (cloned) caller to be vectorised with it.
#define TIDEMARK_INLINE [[gnu::always_inline]] inline
