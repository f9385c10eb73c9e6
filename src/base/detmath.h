/* Deterministic double-precision functions: plain IEEE operations in a fixed order, so that tables made at
 * start have the same bits on every CPU (libm's variants differ by instruction set). Error below 1e-15
 * relative (sin, cos: absolute) in the ranges given. */
#ifndef LATHE_BASE_DETMATH_H
#define LATHE_BASE_DETMATH_H

/* sin and cos of x, |x| < 1e9. */
void det_sincos(double x, double *s, double *c);
double det_log(double x);           /* x > 0, normal */
double det_exp(double x);           /* |x| < 700 */
double det_pow(double x, double y); /* x > 0 */
#endif
