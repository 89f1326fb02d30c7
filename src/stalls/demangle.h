/* Names as their authors wrote them. */
#ifndef STALLS_DEMANGLE_H
#define STALLS_DEMANGLE_H

/* The name in C++ or Rust that a symbol stands for, without parameters; the symbol itself where
 * it stands for none, or where this build has no demangler. A compiler's additions (.cold,
 * .part.0) go. Kept for the run. */
const char *demangle(const char *symbol);

#endif
