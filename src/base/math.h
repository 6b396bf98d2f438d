/*
 * math.h - EXP, LOG, SINPI, COSPI of rule A10: the same double bits on every machine.
 * + - x / and integer operations on the bits only; error at most 4 * 2^-53 relative (of the result,
 * for SINPI and COSPI away from their zeros; near a zero relative to the distance from it).
 */
#ifndef RN_MATH_H
#define RN_MATH_H

double rn_exp(double x);   /* e^x; 0 below -745.2, Inf above 709.79; NaN stays NaN */
double rn_log(double x);   /* natural; -Inf at 0, NaN below; Inf stays */
double rn_sinpi(double x); /* sin(pi x); exact reduction; NaN for Inf and NaN; zeros are +0 */
double rn_cospi(double x);

#endif /* RN_MATH_H */
