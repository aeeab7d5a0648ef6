/* Pictures that were drawn finer, averaged over squares of pixels, and the way back: the fast path of
 * supersampling.py, whose plain version is its twin and its documentation. Plain C ABI, no state. */

#include <math.h>
#include <stdint.h>

#define COLORS 3


/* Of `images` fine pictures of factor * height by factor * width: the means of `image` [.., COLORS] and `alpha`, and
 * of `depth` by alpha, which is infinite where alpha is 0; to pictures [images, height, width]. */
void uni4d_average(int64_t images, int64_t height, int64_t width, int64_t factor, const float *image,
                   const float *alpha, const float *depth, float *mean_image, float *mean_alpha, float *mean_depth,
                   int32_t threads) {
    const float part = 1.0f / (float)(factor * factor);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < images * height; row++)
        for (int64_t column = 0; column < width; column++) {
            float color[COLORS] = {0}, covered = 0.0f, distance = 0.0f;
            for (int64_t y = 0; y < factor; y++) {
                const int64_t first = ((row * factor + y) * width + column) * factor;
                for (int64_t at = first; at < first + factor; at++) {
                    for (int k = 0; k < COLORS; k++) color[k] += image[COLORS * at + k];
                    covered += alpha[at];
                    if (alpha[at] > 0.0f) distance += alpha[at] * depth[at];
                }
            }
            const int64_t to = row * width + column;
            for (int k = 0; k < COLORS; k++) mean_image[COLORS * to + k] = part * color[k];
            mean_alpha[to] = part * covered;
            mean_depth[to] = covered > 0.0f ? distance / covered : INFINITY;
        }
}

/* Gradients of the means (NULL where there are none), to those of the fine pictures, all of which are written. */
void uni4d_average_backward(int64_t images, int64_t height, int64_t width, int64_t factor, const float *alpha,
                            const float *depth, const float *mean_alpha, const float *mean_depth,
                            const float *by_image, const float *by_alpha, const float *by_depth, float *g_image,
                            float *g_alpha, float *g_depth, int32_t threads) {
    const float part = 1.0f / (float)(factor * factor);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t row = 0; row < images * height; row++)
        for (int64_t column = 0; column < width; column++) {
            const int64_t from = row * width + column;
            const int seen = by_depth && mean_alpha[from] > 0.0f;
            const float deep = seen ? by_depth[from] * part / mean_alpha[from] : 0.0f;
            const float solid = by_alpha ? part * by_alpha[from] : 0.0f;
            for (int64_t y = 0; y < factor; y++) {
                const int64_t first = ((row * factor + y) * width + column) * factor;
                for (int64_t at = first; at < first + factor; at++) {
                    const int known = seen && alpha[at] > 0.0f;
                    for (int k = 0; k < COLORS; k++)
                        g_image[COLORS * at + k] = by_image ? part * by_image[COLORS * from + k] : 0.0f;
                    g_alpha[at] = solid + (seen ? deep * ((known ? depth[at] : 0.0f) - mean_depth[from]) : 0.0f);
                    g_depth[at] = known ? deep * alpha[at] : 0.0f;
                }
            }
        }
}
