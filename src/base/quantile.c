/* quantile.c - figures of a list of numbers by their order. */
#include "base/quantile.h"

#include <stdlib.h>

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void rn_sort(double *values, int count)
{
    if (count > 1) qsort(values, (size_t)count, sizeof *values, rising);
}

double rn_quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int i = (int)place;
    return i + 1 < count ? sorted[i] + (place - i) * (sorted[i + 1] - sorted[i]) : sorted[count - 1];
}

double rn_median(double *values, int count)
{
    rn_sort(values, count);
    return rn_quantile(values, count, 0.5);
}
