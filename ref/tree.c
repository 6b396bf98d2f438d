/*
 * tree.c - groups and the tree of A11, each as it is stated.  No binary counter, no recursion: the
 * leaves lie in an array and every level overwrites the one below it.
 *
 * Pairwise summation: Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput.
 * 14(4), 1993.
 */
#include "ref/tree.h"

#include <stdint.h>

/* A11: the largest power of two <= 8 with c * P <= 128, at least 1. */
int rn_ref_group_images(int positions)
{
    int c = 8;
    while (c > 1 && (int64_t)c * positions > 128) c /= 2;
    return c;
}

int rn_ref_group_count(int N, int positions)
{
    int c = rn_ref_group_images(positions);
    return N / c + (N % c != 0);
}

/* A11: s[k] = v[2k] + v[2k+1]; a missing right partner leaves v[2k] unchanged. */
float rn_ref_tree_float(float *v, int count)
{
    while (count > 1) {
        for (int k = 0; k < count / 2; k++) v[k] = v[2 * k] + v[2 * k + 1];
        if (count % 2) v[count / 2] = v[count - 1];
        count = count / 2 + count % 2;
    }
    return v[0];
}

double rn_ref_tree_double(double *v, int count)
{
    while (count > 1) {
        for (int k = 0; k < count / 2; k++) v[k] = v[2 * k] + v[2 * k + 1];
        if (count % 2) v[count / 2] = v[count - 1];
        count = count / 2 + count % 2;
    }
    return v[0];
}
