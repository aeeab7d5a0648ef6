/* What a picture says about the splats that are seen in it, to first order: the fast path of Lens.linearised in
 * uni4d/fourd/photometry.py, whose plain version is its twin and its documentation. Plain C ABI, no state. */

#include <math.h>
#include <stdint.h>

#define PATCH 4 /* pixels about a place between pixels: two, and their neighbours */

static inline float between(float v, float high) { return v < 0.0f ? 0.0f : v > high ? high : v; }
static inline int64_t limited(int64_t v, int64_t high) { return v < 0 ? 0 : v > high ? high : v; }

/* Where a point is seen. */
typedef struct {
    float x, y, z;       /* pixels, and metres */
    float slopes[2][3];  /* of the pixel, by the point's place */
} sighting;

static sighting see(const float *view, const float *k, const float *point) {
    sighting s;
    float at[3];
    for (int r = 0; r < 3; r++) {
        const float *row = view + 4 * r;
        at[r] = row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3];
    }
    s.z = at[2] > 1e-6f ? at[2] : 1e-6f;
    const float u = at[0] / s.z, v = at[1] / s.z;
    s.x = k[0] * u + k[2];
    s.y = k[4] * v + k[5];
    for (int a = 0; a < 3; a++) {
        s.slopes[0][a] = k[0] * (view[a] - u * view[8 + a]) / s.z;
        s.slopes[1][a] = k[4] * (view[4 + a] - v * view[8 + a]) / s.z;
    }
    return s;
}

/* At a place between pixels: the difference of frame and picture, and the mean of their slopes (Scharr's), both
 * bilinear; beyond its edge a picture goes on as it is there. */
static void sample(const float *frame, const float *picture, int64_t width, int64_t height, float x, float y,
                   float *residual, float slopes[3][2]) {
    const float side = 3.0f / 16.0f, middle = 10.0f / 16.0f;
    const float px = between(x - 0.5f, (float)(width - 1)), py = between(y - 0.5f, (float)(height - 1));
    const int64_t left = (int64_t)px, top = (int64_t)py;
    const float wx = px - (float)left, wy = py - (float)top;
    const float lx = 1 - wx, ly = 1 - wy;
    const float smooth_x[PATCH] = {lx * side, lx * middle + wx * side, lx * side + wx * middle, wx * side};
    const float smooth_y[PATCH] = {ly * side, ly * middle + wy * side, ly * side + wy * middle, wy * side};
    const float change_x[PATCH] = {-lx, -wx, lx, wx}, change_y[PATCH] = {-ly, -wy, ly, wy};
    const float near_x[PATCH] = {0, lx, wx, 0}, near_y[PATCH] = {0, ly, wy, 0};
    for (int c = 0; c < 3; c++) residual[c] = slopes[c][0] = slopes[c][1] = 0.0f;
    for (int row = 0; row < PATCH; row++)
        for (int column = 0; column < PATCH; column++) {
            const int64_t at = 3 * (limited(top + row - 1, height - 1) * width + limited(left + column - 1, width - 1));
            const float along = 0.25f * change_x[column] * smooth_y[row];
            const float down = 0.25f * change_y[row] * smooth_x[column];
            const float share = near_x[column] * near_y[row];
            for (int c = 0; c < 3; c++) {
                const float sum = frame[at + c] + picture[at + c];
                residual[c] += share * (frame[at + c] - picture[at + c]);
                slopes[c][0] += along * sum;
                slopes[c][1] += down * sum;
            }
        }
}

/* Of n `points` [n, 3], seen by a camera (`view` [4, 4], `intrinsics` [3, 3]), those that lie inside its picture
 * and less than `slack` behind `depth` [height, width]: which they are in `splats` [V], with `residuals` [V, 3]
 * of `frame` against `picture`, both [height, width, 3], their `slopes` [V, 3, 3] by the point's place, and
 * `weights` [V], which fall where a residual exceeds `huber`. Returns V. */
int64_t uni4d_observe(int64_t n, int64_t width, int64_t height, const float *points, const float *view,
                      const float *intrinsics, const float *frame, const float *picture, const float *depth,
                      float slack, float noise, float huber, int64_t *splats, float *residuals, float *slopes,
                      float *weights) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        const sighting s = see(view, intrinsics, points + 3 * i);
        if (!(s.x > 0.0f && s.y > 0.0f && s.x < (float)width && s.y < (float)height)) continue;
        if (!(s.z < depth[(int64_t)s.y * width + (int64_t)s.x] + slack)) continue;
        float *residual = residuals + 3 * count, *slope = slopes + 9 * count, by_pixel[3][2];
        sample(frame, picture, width, height, s.x, s.y, residual, by_pixel);
        for (int c = 0; c < 3; c++)
            for (int a = 0; a < 3; a++)
                slope[3 * c + a] = by_pixel[c][0] * s.slopes[0][a] + by_pixel[c][1] * s.slopes[1][a];
        const float size = sqrtf(residual[0] * residual[0] + residual[1] * residual[1] + residual[2] * residual[2]);
        weights[count] = huber / (size > huber ? size : huber) / (noise * noise);
        splats[count++] = i;
    }
    return count;
}
