// How jemalloc treats this program.
//
// A turn of the control thread should take 2 ms at most, and tables of a million routes come and go.  glibc's malloc
// joins what was freed in small pieces when somebody asks for a large one, thousands at once, and gives megabytes
// back to the kernel in whatever free() leaves the heap's end unused.  jemalloc does neither: what is unused goes back
// within some seconds, on a thread of its own, for this one may have nothing to do then; blocks of 8 MiB and more, too,
// which it would return at once otherwise, in whoever frees them.
// SPDX-License-Identifier: Apache-2.0

/// Read by jemalloc, before main().
extern "C" const char* malloc_conf;
const char* malloc_conf = "background_thread:true,dirty_decay_ms:1000,oversize_threshold:0";
