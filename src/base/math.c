/*
 * math.c - EXP, LOG, SINPI, COSPI (rule A10): one source, the same double bits everywhere.
 */
#include "base/math.h"

#include "base/base.h"
#include "base/real.h"

#define MATH_FUNCTION
#define MATH_HELPER static
#include "base/math_functions.inc"
