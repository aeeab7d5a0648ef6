/* The structural similarity of pictures, and its slope: the fast path of dissimilarity in image_losses.py, whose
 * plain version is its twin and its documentation. Plain C ABI, no state.
 *
 * A row of a picture is one run of numbers, the colours of a pixel beside one another, so blurring along it is
 * blurring with a stride. What is beyond the edges is zero. The number of threads never changes a bit.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COLORS 3
#define C1 (0.01f * 0.01f)
#define C2 (0.03f * 0.03f)
#define MOMENTS 5 /* of picture a and target b: a, b, aa, bb, ab */
#define SLOPES 3  /* of the similarity, by the blurred a, aa and ab */

/* Pictures [images, height, width, COLORS], and the 2 half + 1 weights of the blur along each axis. */
typedef struct {
    int64_t images, height, width, half;
    const float *weights;
} shape;

static int64_t row_length(const shape *s) { return COLORS * s->width; }
static int64_t room(const shape *s) { return row_length(s) + 2 * COLORS * s->half; }

/* `along` [n] = `down` [room], which has zeros at both its ends, blurred. */
static void blur_along(const shape *s, const float *restrict down, float *restrict along) {
    const int64_t n = row_length(s);
    memset(along, 0, (size_t)n * sizeof(float));
    for (int64_t k = 0; k <= 2 * s->half; k++) {
        const float weight = s->weights[k], *from = down + COLORS * k;
        for (int64_t x = 0; x < n; x++) along[x] += weight * from[x];
    }
}

/* The rows [first, last] that are blurred into row y, and the weight of the first. */
static void rows_about(const shape *s, int64_t y, int64_t *first, int64_t *last, const float **weights) {
    *first = y < s->half ? 0 : y - s->half;
    *last = y + s->half < s->height ? y + s->half : s->height - 1;
    *weights = s->weights + (*first - (y - s->half));
}

/* Blurred `moments` [MOMENTS, n] of row y of a picture; `down` [room] to work in. */
static void moments_of(const shape *s, int64_t y, const float *image, const float *target, float *sums, float *down,
                       float *moments) {
    const int64_t n = row_length(s), edge = COLORS * s->half;
    int64_t first, last;
    const float *weights;
    rows_about(s, y, &first, &last, &weights);
    memset(sums, 0, (size_t)(MOMENTS * n) * sizeof(float));
    for (int64_t r = first; r <= last; r++) {
        const float weight = weights[r - first];
        const float *restrict a = image + n * r, *restrict b = target + n * r;
        float *restrict sum_a = sums, *restrict sum_b = sums + n, *restrict sum_aa = sums + 2 * n,
              *restrict sum_bb = sums + 3 * n, *restrict sum_ab = sums + 4 * n;
        for (int64_t x = 0; x < n; x++) {
            const float weighted_a = weight * a[x], weighted_b = weight * b[x];
            sum_a[x] += weighted_a;
            sum_b[x] += weighted_b;
            sum_aa[x] += weighted_a * a[x];
            sum_bb[x] += weighted_b * b[x];
            sum_ab[x] += weighted_a * b[x];
        }
    }
    for (int m = 0; m < MOMENTS; m++) {
        memcpy(down + edge, sums + m * n, (size_t)n * sizeof(float));
        blur_along(s, down, moments + m * n);
    }
}

/* Σ of the similarity over a row's n numbers, and, if wanted, its `slopes`, `step` numbers apart. */
static double similarity_of(int64_t n, const float *restrict moments, float *similar, float *slopes, int64_t step) {
    const float *restrict a = moments, *restrict b = moments + n, *restrict aa = moments + 2 * n,
                *restrict bb = moments + 3 * n, *restrict ab = moments + 4 * n;
    float *restrict found = similar, *restrict by_a = slopes, *restrict by_aa = slopes + step,
          *restrict by_ab = slopes + 2 * step;
    for (int64_t x = 0; x < n; x++) {
        const float product = a[x] * b[x], squares = a[x] * a[x] + b[x] * b[x];
        const float means = 2 * product + C1, covariance = 2 * (ab[x] - product) + C2;
        const float first = squares + C1, second = aa[x] + bb[x] - squares + C2, over = 1 / (first * second);
        const float value = means * covariance * over;
        found[x] = value;
        if (slopes) {
            by_a[x] = 2 * (b[x] * (covariance - means) * over + a[x] * value * (1 / second - 1 / first));
            by_aa[x] = -value / second;
            by_ab[x] = 2 * means * over;
        }
    }
    double sum = 0.0;
    for (int64_t x = 0; x < n; x++) sum += found[x];
    return sum;
}

/* The numbers that a thread needs to work in, zero at first. */
int64_t uni4d_similarity_room(int64_t width, int64_t half) {
    const shape s = {1, 1, width, half, NULL};
    return (2 * MOMENTS + 1) * row_length(&s) + room(&s);
}

/* The sum of the similarity of each row, `sums` [images, height], of `image` and `target`; and `slopes` [SLOPES,
 * images, height, width, COLORS] for the way back, or NULL. `work` [threads, room] is zero. */
void uni4d_similarity(int64_t images, int64_t height, int64_t width, int64_t half, const float *weights,
                      const float *image, const float *target, float *slopes, double *sums, float *work,
                      int32_t threads) {
    const shape s = {images, height, width, half, weights};
    const int64_t n = row_length(&s), rows = images * height, step = rows * n;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int32_t thread = 0; thread < threads; thread++) {
        float *own = work + thread * uni4d_similarity_room(width, half);
        float *blurred = own + MOMENTS * n, *similar = blurred + MOMENTS * n, *down = similar + n;
        for (int64_t row = thread * rows / threads; row < (thread + 1) * rows / threads; row++) {
            const int64_t picture = (row / height) * height * n;
            moments_of(&s, row % height, image + picture, target + picture, own, down, blurred);
            sums[row] = similarity_of(n, blurred, similar, slopes ? slopes + row * n : NULL, step);
        }
    }
}

/* One row of the gradient `to` [n], times `scale`; `own` [room] to work in. */
static void slope_of_row(const shape *s, int64_t row, const float *a, const float *b, const float *slopes, float scale,
                         float *own, float *to) {
    const int64_t n = row_length(s), step = s->images * s->height * n, edge = COLORS * s->half, y = row % s->height;
    float *restrict by_a = own, *restrict by_aa = own + n, *restrict by_ab = own + 2 * n;
    float *restrict down = own + SLOPES * n;
    int64_t first, last;
    const float *weights;
    rows_about(s, y, &first, &last, &weights);
    for (int m = 0; m < SLOPES; m++) {
        const float *from = slopes + m * step + (row - y + first) * n;
        memset(down + edge, 0, (size_t)n * sizeof(float));
        for (int64_t r = first; r <= last; r++, from += n)
            for (int64_t x = 0; x < n; x++) down[edge + x] += weights[r - first] * from[x];
        blur_along(s, down, own + m * n);
    }
    for (int64_t x = 0; x < n; x++) to[x] = scale * (by_a[x] + 2 * a[x] * by_aa[x] + b[x] * by_ab[x]);
}

/* `gradient` [images, height, width, COLORS] of the image: `scale` times that of the sum of the similarity over
 * all numbers, from the `slopes` of uni4d_similarity. `work` as there. */
void uni4d_similarity_backward(int64_t images, int64_t height, int64_t width, int64_t half, const float *weights,
                               const float *image, const float *target, const float *slopes, float scale,
                               float *gradient, float *work, int32_t threads) {
    const shape s = {images, height, width, half, weights};
    const int64_t n = row_length(&s), rows = images * height;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int32_t thread = 0; thread < threads; thread++) {
        float *own = work + thread * uni4d_similarity_room(width, half);
        for (int64_t row = thread * rows / threads; row < (thread + 1) * rows / threads; row++)
            slope_of_row(&s, row, image + row * n, target + row * n, slopes, scale, own, gradient + row * n);
    }
}
