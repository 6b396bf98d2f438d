/*
 * tree.h - sums over many positions: groups of images and the tree (A11).
 *
 * One float chain over a whole batch loses digits and ties the bits to who adds what.  So a sum is
 * cut into leaves whose borders depend on the shape alone, and the leaves meet in one fixed tree.
 */
#ifndef RN_REF_TREE_H
#define RN_REF_TREE_H

/* c(P): consecutive images in one group when an image has P positions. */
int rn_ref_group_images(int positions);
/* Groups in N images, the last one perhaps short. */
int rn_ref_group_count(int N, int positions);

/* The sum of v[0 ... count-1] by the tree of A11, level by level, in place; count >= 1. */
float rn_ref_tree_float(float *v, int count);
double rn_ref_tree_double(double *v, int count);

#endif /* RN_REF_TREE_H */
