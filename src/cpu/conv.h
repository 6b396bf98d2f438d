/*
 * conv.h - a convolution pass as a family of GEMMs whose rows lie in an NHWC tensor.
 *
 * Forward and data gradient are one computation: rows are destination pixels, k runs over (tap,
 * channel), and each tap of a row is a contiguous run of channels of one source pixel.  With stride
 * u the destination pixels of the data gradient fall into u*u classes by their coordinates modulo
 * u; a class sees only the taps on its grid (A14) and is a GEMM of its own.  The weight gradient is
 * the transposed product over the same pixels: rows are (tap, channel), k runs over positions.
 */
#ifndef RN_CONV_H
#define RN_CONV_H

#include "cpu/gemm.h"

/* One dimension of one class.  Position i = 0 ... rows-1 writes destination coordinate out +
 * i*spread and through its tap t reads source coordinate i*step + offset + t*dir; that tap is tap
 * first + t*every of the filter. */
struct rn_axis { int rows, taps, out, spread, step, offset, dir, first, every; };

/* The taps of one dimension of the filter that reach the image from anywhere: first ... first+taps-1,
 * and the padding before them.  The others meet nothing but padding and are not part of any GEMM (A6). */
struct rn_crop { int first, taps, pad; };

/* A pass over a convolution. */
struct rn_conv_pass {
    struct rn_conv_shape shape;
    enum rn_pass pass;
    struct rn_crop h, w;
    int N;
    int H, W, C;       /* the tensor gathered from */
    int P, Q, K;       /* the tensor written */
    int groups, run, cols; /* groups computed; of each: channels of a tap, columns of the GEMM */
    int merged;            /* groups of the shape in one of these */
    int span;              /* channels of one in the tensor gathered from: run, but for narrow groups */
    bool narrow;           /* groups that fill a vector together: run is that of one of them */
    int classes;       /* per dimension: the stride for a data gradient, else 1 */
    int pixels;        /* pixels a tap spans: a whole filter row where channels are few, else 1 */
};

/* Groups narrower than a vector are merged until they fill one.  Where that is exact and as many channels go
 * in as come out, narrow_ukr.inc computes them; elsewhere their weights become one matrix with zeros outside
 * its diagonal blocks, which costs no more lanes than leaving them idle (A6). */
struct rn_conv_pass rn_conv_pass(const struct rn_kernels *k, const struct rn_conv_shape *s,
                                 enum rn_pass pass);

/* The axes of class i of classes*classes, and how its k runs: taps of `run` floats. */
struct rn_conv_class { struct rn_axis h, w; int taps, run, depth; };
struct rn_conv_class rn_conv_class(const struct rn_conv_pass *p, int i);

/* Where the packed weights of a class and group begin, in floats; with i = classes^2 their total.
 */
size_t rn_conv_packed_at(const struct rn_kernels *k, const struct rn_conv_pass *p, int i,
                         int group);

/* Rows first ... first+count-1 of a walk over images n0 ... n1-1 and a box of positions.  Images are taken
 * `together` at a time, and of those every position from all of them before the next position. */
struct rn_walk { int n0, n1, i0, i1, j0, j1, together; };
int64_t rn_walk_rows(const struct rn_walk *w);
/* All destination pixels of a class; several images together, if there are, where a pixel may see the border. */
struct rn_walk rn_conv_walk(const struct rn_conv_pass *p, const struct rn_conv_class *c, int together);
/* Rows of a block of `most` at most: even parts of the walk, a multiple of 12, which tiles are cut for. */
int rn_walk_block(const struct rn_walk *w, int most);
void rn_walk_fill(struct rn_row *row, const struct rn_walk *w, int64_t first, int count);

/* Where every row finds every tap: at[tap][ld] pointers into src, channel 0 of the pixel, or to `zeros`
 * where the tap lies outside the image.  What of a run of several pixels lies inside is copied to
 * edge[tap][ld][run] between zeros.  Rows rows ... ld-1 are zeros. */
void rn_conv_locate(const struct rn_kernels *k, const float **at, size_t ld, float *edge, const float *src,
                    const float *zeros, const struct rn_conv_pass *p, const struct rn_conv_class *c,
                    const struct rn_row *row, int rows);

/* Weights between OIHW and panels go in squares transposed in registers where columns fill whole vectors and
 * a filter has up to so many taps. */
#define RN_SQUARE_TAPS 64

/* Which weight of a filter tap t of a class is. */
int rn_conv_filter_tap(const struct rn_conv_shape *s, const struct rn_conv_class *c, int t);

/* Of a group, the weights for nr columns from `begin` on, whole vectors, and channels c0 ... c1-1 of those that
 * a dot product runs over: weight f of the filter goes to place[f] + (channel - c0)*nr, nowhere if NULL. */
struct rn_squares { int group, begin, nr, c0, c1; float *place[RN_SQUARE_TAPS]; };
void rn_conv_squares(const struct rn_cpu *cpu, const struct rn_conv_pass *p, const float *weights,
                     const struct rn_squares *q);

/* -- what conv_slots.c is made of ------------------------------------------------------------- */

/* conv_pack.c */
size_t rn_conv_packed_bytes(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_conv_pack(const struct rn_cpu *cpu, void *packed, const float *weights,
                  const struct rn_conv_shape *s, enum rn_pass pass);
bool rn_conv_unpack(const struct rn_cpu *cpu, float *weights, const void *packed,
                    const struct rn_conv_shape *s);
/* conv.c: forward, or data gradient with src the gradient of the output; finished as `finish` says. */
size_t rn_conv_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_conv_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                 const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                 void *workspace);
/* conv_wgrad.c, conv_bias.c */
size_t rn_conv_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_conv_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                     const struct rn_conv_shape *s, void *workspace);
void rn_conv_bias_gradient(const struct rn_cpu *cpu, float *dbias, const float *ddst,
                           const struct rn_conv_shape *s);

/* conv_im2col.c: whether RESNET_CONV asks for it and it can; then the same passes. */
bool rn_im2col_does(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
size_t rn_im2col_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_im2col_run(const struct rn_cpu *cpu, enum rn_pass pass, float *dst, const float *src,
                   const void *packed, const struct rn_finish *finish, const struct rn_conv_shape *s,
                   void *workspace);
size_t rn_im2col_weights_workspace(const struct rn_cpu *cpu, const struct rn_conv_shape *s);
void rn_im2col_weights(const struct rn_cpu *cpu, float *dweights, const float *src, const float *ddst,
                       const struct rn_conv_shape *s, void *workspace);

/* The slots of the table: conv_slots.c. */
size_t rn_cpu_conv2d_workspace(void *dev, const struct rn_conv_shape *s);
size_t rn_cpu_conv2d_packed_bytes(void *dev, const struct rn_conv_shape *s, enum rn_pass pass);
void rn_cpu_conv2d_pack(void *dev, void *packed, const float *weights,
                        const struct rn_conv_shape *s, enum rn_pass pass);
void rn_cpu_conv2d_forward(void *dev, void *dst, const void *src, const void *packed,
                           const float *bias, const struct rn_conv_shape *s, void *workspace);
void rn_cpu_conv2d_backward_data(void *dev, void *dsrc, const void *ddst, const void *packed,
                                 const void *add, const struct rn_conv_shape *s, void *workspace);
void rn_cpu_conv2d_backward_weights(void *dev, float *dweights, float *dbias, const void *src,
                                    const void *ddst, const struct rn_conv_shape *s,
                                    void *workspace);
void rn_cpu_conv2d_bn(void *dev, void *dst, const void *src, const void *packed, const void *add,
                      const float *gamma, const float *beta, const float *running_mean,
                      const float *running_var, const struct rn_conv_shape *s,
                      const struct rn_bn_shape *bn, void *workspace);

int rn_cpu_conv2d_unpack(void *dev, float *weights, const void *packed,
                         const struct rn_conv_shape *s);
void rn_cpu_conv2d_bias(void *dev, void *dst, const void *src, const void *packed,
                        const float *bias, const void *add, enum rn_post post,
                        const struct rn_conv_shape *s, void *workspace);
void rn_cpu_conv2d_bn_train(void *dev, void *dst, void *x, double *saved, const void *src,
                            const void *packed, const void *add, const float *gamma,
                            const float *beta, const struct rn_conv_shape *s,
                            const struct rn_bn_shape *bn, void *workspace);

#endif /* RN_CONV_H */
