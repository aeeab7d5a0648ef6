/* Huber's function of how far the colours of two pictures are apart, and its slope: the fast path of robust_loss
 * in uni4d/fourd/photometry.py, whose plain version is its twin and its documentation. Plain C ABI, no state. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define COLORS 3
#define TINY 1e-12f

/* Of n pixels of `image` and `target` [n, COLORS]: the sum, in units of colour squared, growing linearly from
 * `limit` on; and its `slopes` [n, COLORS] by the image, or NULL. */
double uni4d_huber(int64_t n, const float *image, const float *target, float limit, float *slopes) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        float apart[COLORS], square = TINY;
        for (int k = 0; k < COLORS; k++) {
            apart[k] = image[COLORS * i + k] - target[COLORS * i + k];
            square += apart[k] * apart[k];
        }
        const float size = sqrtf(square);
        const int near = size < limit;
        sum += near ? square : 2.0f * limit * size - limit * limit;
        if (!slopes) continue;
        const float share = near ? 2.0f : 2.0f * limit / size;
        for (int k = 0; k < COLORS; k++) slopes[COLORS * i + k] = share * apart[k];
    }
    return sum;
}
