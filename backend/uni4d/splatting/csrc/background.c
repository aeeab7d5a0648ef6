/* From composited planes to what the caller sees, and the gradients back:
 *
 *     image = value + T background,  alpha = 1 - T,  depth = z_0 + z / alpha,  flow = f_0 + f / alpha
 *
 * where z_0 and f_0 are those of the pixel's first splat, and z and f are relative to them (depth is infinite and
 * flow 0 where alpha is 0). The twin is `finish` in reference.py.
 */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>

#define STRIP 16 /* rows whose share of the background's gradient is added together first */

static void finish_row(const float *plane, int64_t size, int width, const float *background, float *image, float *alpha,
                       float *depth, float *flow) {
    const float *T = plane + (flow ? 6 : 4) * size, *first = T + size;
    for (int x = 0; x < width; x++) {
        const float own = 1.0f - T[x], inverse = own > 0.0f ? 1.0f / own : 0.0f;
        for (int c = 0; c < 3; c++) image[3 * x + c] = plane[c * size + x] + T[x] * background[c];
        alpha[x] = own;
        depth[x] = own > 0.0f ? first[x] + plane[3 * size + x] * inverse : INFINITY;
        if (flow)
            for (int c = 0; c < 2; c++)
                flow[2 * x + c] = own > 0.0f ? first[(1 + c) * size + x] + plane[(4 + c) * size + x] * inverse : 0.0f;
    }
}

void uni4d_finish(const batch *job) {
    const int64_t size = (int64_t)job->width * job->height, rows = job->images * job->height;
#pragma omp parallel for schedule(static) num_threads(job->threads) if (job->images * size > MANY_PIXELS)
    for (int64_t row = 0; row < rows; row++) {
        const int64_t image = row / job->height, at = row * job->width;
        const float *plane = job->planes + image * PLANES(job->features) * size + (row % job->height) * job->width;
        finish_row(plane, size, job->width, job->backgrounds + 3 * image, job->image + 3 * at, job->alpha + at,
                   job->depth + at, job->flow ? job->flow + 2 * at : 0);
    }
}

/* One row of `g` (planes, all written); adds T dL/dimage to `total` [3]. A gradient that is NULL is zero. */
static void unfinish_row(const float *plane, int64_t size, int width, int flows, const float *background,
                         const float *g_image, const float *g_alpha, const float *g_depth, const float *g_flow,
                         float *g, double *total) {
    const int features = flows ? 6 : 4;
    const float *T = plane + features * size;
    for (int x = 0; x < width; x++) {
        const float alpha = 1.0f - T[x], inverse = alpha > 0.0f ? 1.0f / alpha : 0.0f;
        float g_T = g_alpha ? -g_alpha[x] : 0.0f;
        for (int c = 0; c < 3; c++) {
            const float own = g_image ? g_image[3 * x + c] : 0.0f;
            g[c * size + x] = own;
            g_T += own * background[c];
            total[c] += (double)(own * T[x]);
        }
        for (int c = 3; c < features; c++) { /* where nothing is, depth is no number that could be followed */
            const float *from = c == 3 ? g_depth : g_flow;
            const float given = !from || inverse == 0.0f ? 0.0f : c == 3 ? from[x] : from[2 * x + c - 4];
            const float own = given * inverse;
            g[c * size + x] = own;
            g_T += own * plane[c * size + x] * inverse;
        }
        g[features * size + x] = g_T;
    }
}

/* Fills `to->planes`, and adds to the gradients of the backgrounds. -1 without memory. */
int unfinish(const batch *job, const gradients *to) {
    const int64_t size = (int64_t)job->width * job->height, strips = (job->height + STRIP - 1) / STRIP;
    double *totals = calloc((size_t)(job->images * strips * 3), sizeof(double));
    if (!totals) return -1;
#pragma omp parallel for schedule(static) num_threads(job->threads) if (job->images * size > MANY_PIXELS)
    for (int64_t strip = 0; strip < job->images * strips; strip++) {
        const int64_t image = strip / strips;
        const float *planes = job->planes + image * PLANES(job->features) * size;
        float *g_planes = to->planes + image * (job->features + 1) * size;
        const int first = (int)(strip % strips) * STRIP, end = first + STRIP;
        for (int y = first; y < end && y < job->height; y++) {
            const int64_t in_image = (int64_t)y * job->width, at = image * size + in_image;
            unfinish_row(planes + in_image, size, job->width, job->features > 4,
                         job->backgrounds + 3 * image, to->image ? to->image + 3 * at : 0,
                         to->alpha ? to->alpha + at : 0, to->depth ? to->depth + at : 0,
                         to->flow ? to->flow + 2 * at : 0, g_planes + in_image, totals + 3 * strip);
        }
    }
    for (int64_t strip = 0; strip < job->images * strips; strip++)
        for (int c = 0; c < 3; c++) to->backgrounds[3 * (strip / strips) + c] += (float)totals[3 * strip + c];
    free(totals);
    return 0;
}
