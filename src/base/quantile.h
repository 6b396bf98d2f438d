/* quantile.h - figures of a list of numbers by their order: what tables of times and of resamples say. */
#ifndef RN_QUANTILE_H
#define RN_QUANTILE_H

void rn_sort(double *values, int count); /* rising; none of them NaN; 0 values are sorted */

/* Of `count` > 0 sorted values the one at the share q, 0 to 1, linear between the two around q (count - 1):
 * numpy.quantile's and torch.quantile's default. */
double rn_quantile(const double *sorted, int count, double q);

double rn_median(double *values, int count); /* sorts them; of an even number the mean of the middle two */

#endif /* RN_QUANTILE_H */
