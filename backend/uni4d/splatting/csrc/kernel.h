/* What the parts of the CPU rasteriser share: one batch of images to draw, and where its gradients go.
 *
 *     projection.c   splats -> their shapes on the image plane ("records"), and the gradients back
 *     binning.c      which splats touch which tile of the image, nearest first
 *     kernel.c       compositing, and its gradients
 *     background.c   what the caller sees: the image over its background, alpha, depth, flow
 *
 * Plain C ABI, no global state, no allocation that outlives a call. The number of threads never changes a bit of
 * any result: whatever is added up is added in an order of its own.
 */
#ifndef UNI4D_KERNEL_H
#define UNI4D_KERNEL_H

#include <stdint.h>

/* Below so much work a region is not worth waking the other threads for. */
#define MANY_SPLATS 2048
#define MANY_PIXELS 65536

#define TILE 16
#define LANES 8
#define BLOCKS (TILE / LANES)
#define MAX_FEATURES 6 /* red, green, blue, depth, and with flow: its x and y */
#define COLORS 3       /* features that are sums; the ones after them are means, see kernel.c */
#define MAX_MEANS (MAX_FEATURES - COLORS)
#define PLANES(features) (2 * (features) + 1 - COLORS) /* composited features, the final T, what means start from */
#define MOMENTS 6      /* per (splat, tile) pair, before the gradients of its features */
#define ALPHA_MIN (1.0f / 255.0f)
#define ALPHA_MAX 0.99f
#define T_STOP 1e-4f

/* One batch; `native.py` mirrors this. A `..._step` is how many floats lie between the values of one image and
 * those of the next: 0 when all images share them. n = count, F = features. */
typedef struct {
    int64_t images, count, means_step, quaternions_step, scales_step, opacities_step, colors_step, other_means_step;
    int32_t width, height, features, antialiased, threads, unused;
    double near, low_pass;
    const float *means;             /* [.., n, 3] */
    const float *quaternions;       /* [.., n, 4] wxyz */
    const float *scales;            /* [.., n, 3] */
    const float *opacities;         /* [.., n] */
    const float *colors;            /* [.., n, 3] */
    const float *views;             /* [images, 4, 4] world to camera */
    const float *intrinsics;        /* [images, 3, 3] */
    const float *other_means;       /* [.., n, 3] the same splats at another moment, and its cameras; */
    const float *other_views;       /* NULL without flow */
    const float *other_intrinsics;
    void *records;                  /* [images, n] of `record` */
    int64_t *first_pair;            /* [images n + 1] the (splat, tile) pairs of splat i of image b: b n + i */
    int32_t *tile_start;            /* [images tiles + 1] where each tile's entries begin in `pairs` */
    int32_t *pairs;                 /* [M, 2] (splat, pair) */
    const float *backgrounds;       /* [images, 3] */
    float *planes;                  /* [images, PLANES(F), height, width] */
    float *image, *alpha, *depth;   /* [images, height, width, 3], [images, height, width] twice */
    float *flow;                    /* [images, height, width, 2], or NULL without flow */
} batch;

/* Gradients: of what came out (NULL where there is none), room to work in, and of what went in (zero on entry). */
typedef struct {
    const float *image, *alpha, *depth, *flow;
    float *planes; /* [images, F + 1, height, width] of the composited features and of T */
    float *pairs;  /* [M, MOMENTS + F] */
    float *means, *quaternions, *scales, *opacities, *colors, *views, *intrinsics, *backgrounds;
    float *other_means, *other_views, *other_intrinsics;
} gradients;

/* A splat on the image plane, one cache line. Its exponent is written with the square completed,
 *
 *     alpha = 2^(log_opacity + bend (dx + slope dy)^2 + fall dy^2),   (dx, dy) = p - mean
 *
 * which, unlike a dx^2 + 2 b dx dy + c dy^2, does not cancel for long thin splats: slope = b / a = -S_xy / S_yy,
 * fall = -log2(e)/2 / S_yy, bend = -log2(e)/2 a. alpha >= 1/255 where (dx + slope dy)^2 <= reach - ratio dy^2. */
typedef struct {
    float x, y, bend, slope, fall, log_opacity, reach, ratio;
    float features[MAX_FEATURES];
    float half_width, half_height; /* of the box where alpha >= 1/255, in pixels; 0 = never */
} record;

/* The tiles [x0, x1) x [y0, y1) that a splat can touch; empty when it cannot be seen. */
typedef struct {
    int x0, x1, y0, y1;
} rect;

rect touched_tiles(const record *splat, int tiles_x, int tiles_y);
int bin_image(const batch *job, int64_t image);
int unfinish(const batch *job, const gradients *to);
int project_backward(const batch *job, const gradients *to);

#endif
