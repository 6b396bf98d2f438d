/* marks.c - the one word that says whether anybody looks on. */
#include "base/marks.h"

_Atomic(const struct rn_marks *) rn_marks_watched;
