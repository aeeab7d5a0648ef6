/* How splats turn when the triangles that carry them move: the fast path of triangle_frames and
 * quaternions_from_matrices in binding.py, which is its twin and its documentation. Plain C ABI, no state. */

#include <math.h>
#include <stdint.h>

static void cross(const float *a, const float *b, float *out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static void normalise(float *v, float least) {
    const float length = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    const float factor = 1.0f / (length > least ? length : least);
    for (int k = 0; k < 3; k++) v[k] *= factor;
}

/* Unit quaternion (w, x, y, z) of a rotation matrix; the formula with the largest divisor (Shepperd 1978). */
static void quaternion(float m[3][3], float *q) {
    const float trace = m[0][0] + m[1][1] + m[2][2];
    int i = 0;
    if (m[1][1] > m[i][i]) i = 1;
    if (m[2][2] > m[i][i]) i = 2;
    if (trace >= m[i][i]) {
        q[0] = 1.0f + trace;
        q[1] = m[2][1] - m[1][2];
        q[2] = m[0][2] - m[2][0];
        q[3] = m[1][0] - m[0][1];
    } else {
        const int j = (i + 1) % 3, k = (i + 2) % 3;
        q[0] = m[k][j] - m[j][k];
        q[1 + i] = 1.0f + m[i][i] - m[j][j] - m[k][k];
        q[1 + j] = m[i][j] + m[j][i];
        q[1 + k] = m[k][i] + m[i][k];
    }
    float square = 0.0f;
    for (int c = 0; c < 4; c++) square += q[c] * q[c];
    const float factor = 1.0f / sqrtf(square > 1e-24f ? square : 1e-24f);
    for (int c = 0; c < 4; c++) q[c] *= factor;
}

/* For `moments` times n splats: `edges` [moments, n, 2, 3] of the moved triangles; `frames` [n, 3, 3] (columns),
 * `rest` [n, 4] and `offsets` [n, 3] at rest -> `quaternions` [moments, n, 4], `turned` [moments, n, 3]. */
void uni4d_turn(int64_t moments, int64_t n, const float *edges, const float *frames, const float *rest,
                const float *offsets, float *quaternions, float *turned, int32_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t at = 0; at < moments * n; at++) {
        const int64_t i = at % n;
        const float *first = edges + 6 * at, *before = frames + 9 * i, *offset = offsets + 3 * i;
        float now[3][3], turn[3][3], q[4]; /* `now` holds its columns as rows */
        for (int k = 0; k < 3; k++) now[0][k] = first[k];
        cross(first, first + 3, now[2]);
        normalise(now[0], 1e-12f);
        normalise(now[2], 1e-20f);
        cross(now[2], now[0], now[1]);
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) {
                turn[r][c] = 0.0f;
                for (int k = 0; k < 3; k++) turn[r][c] += now[k][r] * before[3 * c + k];
            }
        quaternion(turn, q);
        const float *s = rest + 4 * i;
        float *out = quaternions + 4 * at;
        out[0] = q[0] * s[0] - q[1] * s[1] - q[2] * s[2] - q[3] * s[3];
        out[1] = q[0] * s[1] + q[1] * s[0] + q[2] * s[3] - q[3] * s[2];
        out[2] = q[0] * s[2] - q[1] * s[3] + q[2] * s[0] + q[3] * s[1];
        out[3] = q[0] * s[3] + q[1] * s[2] - q[2] * s[1] + q[3] * s[0];
        for (int r = 0; r < 3; r++)
            turned[3 * at + r] = turn[r][0] * offset[0] + turn[r][1] * offset[1] + turn[r][2] * offset[2];
    }
}
