/*
 * conv.h - a convolution pass as a family of GEMMs whose rows are gathered from an NHWC tensor.
 *
 * Forward and data gradient are one computation: rows are destination pixels, k runs over (tap,
 * channel), and each tap of a row is a contiguous run of channels of one source pixel.  With stride
 * u the destination pixels of the data gradient fall into u*u classes by their coordinates modulo
 * u; a class sees only the taps on its grid (A14) and is a GEMM of its own.  The weight gradient is
 * the transposed product over the same gather: rows are (tap, channel), k runs over positions.
 */
#ifndef RN_CONV_H
#define RN_CONV_H

#include "cpu/gemm.h"

/* One dimension of one class.  Position i = 0 ... rows-1 writes destination coordinate out +
 * i*spread and through its tap t reads source coordinate i*step + offset + t*dir; that tap is tap
 * first + t*every of the filter. */
struct rn_axis { int rows, taps, out, spread, step, offset, dir, first, every; };

/* A pass over a convolution. */
struct rn_conv_pass {
    struct rn_conv_shape shape;
    enum rn_pass pass;
    int N;
    int H, W, C;       /* the tensor gathered from */
    int P, Q, K;       /* the tensor written */
    int groups, run, cols; /* groups computed; of each: channels of a tap, columns of the GEMM */
    int merged;            /* groups of the shape in one of these */
    int classes;       /* per dimension: the stride for a data gradient, else 1 */
    int pixels;        /* pixels a tap spans: a whole filter row where channels are few, else 1 */
};

/* Narrow groups are merged until they fill a vector: their weights become one matrix with zeros
 * outside its diagonal blocks, which costs no more lanes than leaving them idle (A6). */
struct rn_conv_pass rn_conv_pass(const struct rn_kernels *k, const struct rn_conv_shape *s,
                                 enum rn_pass pass);

/* The axes of class i of classes*classes, and how its k runs: taps of `run` floats. */
struct rn_conv_class { struct rn_axis h, w; int taps, run, depth; };
struct rn_conv_class rn_conv_class(const struct rn_conv_pass *p, int i);

/* Where the packed weights of a class and group begin, in floats; with i = classes^2 their total.
 */
size_t rn_conv_packed_at(const struct rn_kernels *k, const struct rn_conv_pass *p, int i,
                         int group);

/* Rows first ... first+count-1 of a walk over images n0.. and a box of positions: image by image,
 * or, with by_position, position by position with all images of each. */
struct rn_walk { int n0, n1, i0, i1, j0, j1; bool by_position; };
int64_t rn_walk_rows(const struct rn_walk *w);
void rn_walk_fill(struct rn_row *row, const struct rn_walk *w, int64_t first, int count);

/* Gathers k = begin ... end-1 of `rows` rows into dst[rows][ld]. */
void rn_conv_gather(const struct rn_kernels *k, float *dst, size_t ld, const float *src,
                    const struct rn_conv_pass *p, const struct rn_conv_class *c, int group,
                        int begin,
                    int end, const struct rn_row *row, int rows);
/* Whether any of these rows reads inside the image through taps of k = begin ... end-1. */
bool rn_conv_touches(const struct rn_conv_pass *p, const struct rn_conv_class *c, int begin,
                     int end,
                     const struct rn_row *row, int rows);

/* conv_wgrad.c, conv_bias.c */
size_t rn_conv_wgrad_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_conv_bias_gradient(const struct rn_cpu *cpu, float *dbias, const float *ddst,
                           const struct rn_conv_shape *s);

/* The slots of the table. */
size_t rn_cpu_conv2d_workspace(void *dev, const struct rn_conv_shape *s);
size_t rn_cpu_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_cpu_conv2d_pack(void *dev, void *packed, const float *weights,
                        const struct rn_conv_shape *s,
                        enum rn_pass pass);
void rn_cpu_conv2d_forward(void *dev, float *dst, const float *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace);
void rn_cpu_conv2d_backward_data(void *dev, float *dsrc, const float *ddst, const void *packed,
                                 const float *add, const struct rn_conv_shape *s, void *workspace);
void rn_cpu_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const float *src,
                                    const float *ddst, const struct rn_conv_shape *s,
                                    void *workspace);
void rn_cpu_conv2d_bn(void *dev, float *dst, const float *src, const void *packed, const float *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace);

#endif /* RN_CONV_H */
