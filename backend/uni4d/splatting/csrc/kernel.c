/* Tile-based compositing of 2D Gaussians on the CPU: values and hand-written gradients.
 *
 * The rule is that of 3D Gaussian splatting (Kerbl et al. 2023). For a pixel at p and the splats in order of depth,
 *
 *     alpha_i = min(0.99, o_i exp(-1/2 d^T Q_i d)),  d = p - m_i,  Q = inverse of Sigma'
 *     T_0 = 1,  T_{i+1} = T_i (1 - alpha_i)
 *     value = sum_i alpha_i T_i f_i
 *
 * where alpha below 1/255 counts as nothing, and a pixel is finished before the splat that would bring T to
 * 1e-4 or less. Each splat carries features f: red, green, blue, depth, and with flow its two components; the
 * loops are compiled once for four features and once for six. The background is not added here.
 *
 * Depth and flow are not sums but means, value / (1 - T_end). Whether a splat counts a little more or less changes
 * a mean by what sets that splat apart from the others in the pixel, which may be a millionth of its depth. So
 * that single precision does not lose it, their f_i is taken relative to f of the pixel's first splat, the
 * *reference*; background.c adds it again. The mean does not depend on it, so no gradient goes through it.
 *
 * Gradients. With V_i = f_i . g (g is the gradient of the pixel's value), g_T that of its final T,
 *
 *     dL/dalpha_i = T_i V_i - (sum_{j>i} alpha_j T_j V_j + g_T T_end) / (1 - alpha_i)
 *
 * The sum over later splats is the pixel's total, known from the forward pass, minus the running sum, so the
 * backward pass goes front to back too, repeats the forward arithmetic exactly and stores nothing per pixel.
 * With e = dL/dalpha alpha (the gradient of the exponent), all geometric gradients are moments of e over pixels.
 * Every (splat, tile) pair writes its moments to a place of its own; projection.c adds them in a fixed order.
 *
 * Written with the vector extensions of GCC and Clang: one vector is eight neighbouring pixels of a row, and a tile
 * is two columns of sixteen such blocks. A finished pixel, or one outside the image, has its T negated: then no
 * later splat counts.
 */

#include "kernel.h"

#include <math.h>
#include <string.h>
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

typedef float f8 __attribute__((vector_size(4 * LANES)));
typedef int32_t i8 __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE f8 splat8(float v) { return (f8){v, v, v, v, v, v, v, v}; }
INLINE f8 keep(f8 v, i8 mask) { return (f8)((i8)v & mask); }

#if defined(__AVX2__) && defined(__FMA__)
INLINE f8 fma8(f8 a, f8 b, f8 c) { return (f8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE f8 min8(f8 a, f8 b) { return (f8)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE f8 max8(f8 a, f8 b) { return (f8)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE f8 choose(i8 mask, f8 yes, f8 no) { return (f8)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask); }
INLINE unsigned bits8(i8 mask) { return (unsigned)_mm256_movemask_ps((__m256)mask); }
INLINE f8 sqrt8(f8 v) { return (f8)_mm256_sqrt_ps((__m256)v); }
#else
INLINE f8 fma8(f8 a, f8 b, f8 c) { return a * b + c; }
INLINE f8 choose(i8 mask, f8 yes, f8 no) { return (f8)(((i8)yes & mask) | ((i8)no & ~mask)); }
INLINE f8 min8(f8 a, f8 b) { return choose(a < b, a, b); }
INLINE f8 max8(f8 a, f8 b) { return choose(a > b, a, b); }
INLINE unsigned bits8(i8 mask) {
    unsigned bits = 0;
    for (int lane = 0; lane < LANES; lane++) bits |= (unsigned)(mask[lane] & 1) << lane;
    return bits;
}
INLINE f8 sqrt8(f8 v) {
    for (int lane = 0; lane < LANES; lane++) v[lane] = sqrtf(v[lane]);
    return v;
}
#endif

INLINE float sum8(f8 v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

/* 2^x to 2e-7 of its value: the whole part goes into the exponent's bits, the rest through a polynomial (fitted
 * to the least largest relative error on [-1/2, 1/2]). Anything below 2^-120 may come out as that. */
INLINE f8 power8(f8 x) {
    const f8 magic = splat8(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, in the low bits */
    x = max8(x, splat8(-120.0f));
    const f8 whole = x + magic;
    const f8 r = x - (whole - magic);
    f8 p = splat8(0.0013276481768116355f);
    p = fma8(p, r, splat8(0.009675546549260616f));
    p = fma8(p, r, splat8(0.05550713464617729f));
    p = fma8(p, r, splat8(0.24022120237350464f));
    p = fma8(p, r, splat8(0.6931469440460205f));
    p = fma8(p, r, splat8(1.0000001192092896f));
    return (f8)((i8)p + ((i8)whole << 23));
}

/* A splat over one tile: which of its blocks it can touch, and what is constant along their rows. */
typedef struct {
    unsigned rows[BLOCKS];                    /* bit r: row r of this column of blocks */
    float dy[TILE], shift[TILE], level[TILE]; /* y - mean, slope dy, log_opacity + fall dy^2 */
} footprint;

INLINE void lay(const record *s, int x0, int y0, footprint *at) {
    at->rows[0] = at->rows[1] = 0;
    const f8 first = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};
    for (int part = 0; part < TILE / LANES; part++) {
        const f8 dy = first + ((float)(y0 + part * LANES) - s->y), shift = dy * s->slope;
        const f8 level = fma8(dy * s->fall, dy, splat8(s->log_opacity));
        const f8 square = splat8(s->reach) - dy * dy * s->ratio;
        const f8 half = sqrt8(max8(square, splat8(0.0f))) + 1e-2f, centre = (s->x - (float)x0) - shift;
        const i8 touches = square >= splat8(0.0f);
        const f8 low = centre - half, high = centre + half;
        for (int block = 0; block < BLOCKS; block++) {
            const float edge = (float)(block * LANES);
            const i8 here = touches & (low <= splat8(edge + 7.5f)) & (high >= splat8(edge + 0.5f));
            at->rows[block] |= bits8(here) << (part * LANES);
        }
        memcpy(at->dy + part * LANES, &dy, sizeof dy);
        memcpy(at->shift + part * LANES, &shift, sizeof shift);
        memcpy(at->level + part * LANES, &level, sizeof level);
    }
}

/* alpha before its limit, for eight pixels dx from the splat's mean. */
INLINE f8 raw_alpha(const record *s, const footprint *at, f8 dx, int row) {
    const f8 across = dx + at->shift[row];
    return power8(fma8(across * s->bend, across, splat8(at->level[row])));
}

INLINE f8 pixel_centres(int x) {
    const float first = (float)x + 0.5f;
    return (f8){first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7};
}

/* T = 1 for the pixels of a block that lie inside the image, -1 for the others. */
INLINE f8 initial_T(int x, int y, int width, int height) {
    const i8 column = {x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7};
    const int32_t w = y < height ? width : 0;
    return choose(column < (i8){w, w, w, w, w, w, w, w}, splat8(1.0f), splat8(-1.0f));
}

/* What a splat of this alpha does to T, and the pixels in which it counts. */
INLINE i8 attenuate(f8 *T, f8 alpha) {
    const f8 before = *T, after = before * (1.0f - alpha);
    const i8 solid = alpha >= splat8(ALPHA_MIN), counts = solid & (after > splat8(T_STOP));
    const i8 finished = solid & ~counts & (i8)splat8(-0.0f);
    *T = choose(counts, after, (f8)((i8)before | finished));
    return counts;
}

INLINE int tile_finished(f8 T[BLOCKS][TILE]) {
    i8 all = (i8)T[0][0];
    for (int block = 0; block < BLOCKS; block++)
        for (int row = 0; row < TILE; row++) all &= (i8)T[block][row];
    return bits8(all < (i8){0}) == 255;
}

#define CHECK_EVERY 8 /* splats between two looks at whether the whole tile is finished */
#define AHEAD 6       /* how many splats before its turn a record is fetched: the records of a tile lie anywhere */

INLINE void fetch_ahead(const record *records, const int32_t *pairs, int64_t k, int64_t end) {
    if (k + AHEAD < end) __builtin_prefetch(records + pairs[2 * (k + AHEAD)]);
}

INLINE void tile_forward(const batch *job, int64_t image, int tile, const int features) {
    const int width = job->width, height = job->height, tiles_x = (width + TILE - 1) / TILE;
    const int x0 = (tile % tiles_x) * TILE, y0 = (tile / tiles_x) * TILE;
    const int64_t plane = (int64_t)width * height, tiles = (int64_t)tiles_x * ((height + TILE - 1) / TILE);
    const int32_t *start = job->tile_start + image * tiles + tile;
    const record *records = (const record *)job->records + image * job->count;
    float *planes = job->planes + image * PLANES(features) * plane;
    f8 value[MAX_FEATURES][BLOCKS][TILE], first[MAX_MEANS][BLOCKS][TILE], T[BLOCKS][TILE], columns[BLOCKS];
    memset(value, 0, (size_t)features * sizeof value[0]);
    memset(first, 0, (size_t)(features - COLORS) * sizeof first[0]);
    for (int block = 0; block < BLOCKS; block++) {
        columns[block] = pixel_centres(x0 + block * LANES);
        for (int row = 0; row < TILE; row++) T[block][row] = initial_T(x0 + block * LANES, y0 + row, width, height);
    }
    for (int32_t k = start[0]; k < start[1]; k++) {
        if ((k - start[0]) % CHECK_EVERY == CHECK_EVERY - 1 && tile_finished(T)) break;
        fetch_ahead(records, job->pairs, k, start[1]);
        const record *s = records + job->pairs[2 * (int64_t)k];
        footprint at;
        lay(s, x0, y0, &at);
        for (int block = 0; block < BLOCKS; block++) {
            const f8 dx = columns[block] - s->x;
            for (unsigned rows = at.rows[block]; rows; rows &= rows - 1) {
                const int row = __builtin_ctz(rows);
                const f8 alpha = min8(raw_alpha(s, &at, dx, row), splat8(ALPHA_MAX)), before = T[block][row];
                const i8 counts = attenuate(&T[block][row], alpha);
                const f8 weight = keep(alpha * before, counts);
                const i8 untouched = before == splat8(1.0f);
                for (int c = 0; c < COLORS; c++)
                    value[c][block][row] = fma8(weight, splat8(s->features[c]), value[c][block][row]);
                for (int c = COLORS; c < features; c++) {
                    const f8 own = splat8(s->features[c]);
                    const f8 from = choose(untouched, own, first[c - COLORS][block][row]);
                    first[c - COLORS][block][row] = from;
                    value[c][block][row] = fma8(weight, own - from, value[c][block][row]);
                }
            }
        }
    }
    for (int block = 0; block < BLOCKS; block++) {
        const int x = x0 + block * LANES, count = width - x < LANES ? width - x : LANES;
        if (count <= 0) break;
        for (int row = 0; row < TILE && y0 + row < height; row++) {
            float *at = planes + (int64_t)(y0 + row) * width + x;
            const f8 end = max8(T[block][row], -T[block][row]);
            for (int c = 0; c < features; c++) memcpy(at + c * plane, &value[c][block][row], (size_t)count * 4);
            memcpy(at + features * plane, &end, (size_t)count * 4);
            for (int c = 0; c < features - COLORS; c++)
                memcpy(at + (features + 1 + c) * plane, &first[c][block][row], (size_t)count * 4);
        }
    }
}

/* Bins and composites: fills `tile_start`, `pairs` and `planes`. -1 without memory. */
int32_t uni4d_composite(const batch *job) {
    const int tiles = ((job->width + TILE - 1) / TILE) * ((job->height + TILE - 1) / TILE);
    const int64_t splats = job->images > 1 ? job->images * job->count : 0;
    int failed = 0;
    job->tile_start[0] = 0;
#pragma omp parallel for schedule(static) num_threads(job->threads) reduction(| : failed) if (splats > MANY_SPLATS)
    for (int64_t image = 0; image < job->images; image++) failed |= bin_image(job, image);
    if (failed) return -1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(job->threads)
    for (int64_t at = 0; at < job->images * tiles; at++) {
        if (job->features == 4)
            tile_forward(job, at / tiles, (int)(at % tiles), 4);
        else
            tile_forward(job, at / tiles, (int)(at % tiles), 6);
    }
    return 0;
}

/* Eight pixels of a plane of the image; those outside read as zero. */
INLINE f8 load8(const float *plane, int x, int y, int width, int height) {
    f8 v = {0};
    const int count = width - x < LANES ? width - x : LANES;
    if (y < height && count == LANES)
        memcpy(&v, plane + (int64_t)y * width + x, sizeof v);
    else if (y < height && count > 0)
        memcpy(&v, plane + (int64_t)y * width + x, (size_t)count * 4);
    return v;
}

INLINE void tile_backward(const batch *job, const gradients *to, int64_t image, int tile, const int features) {
    const int width = job->width, height = job->height, tiles_x = (width + TILE - 1) / TILE;
    const int x0 = (tile % tiles_x) * TILE, y0 = (tile / tiles_x) * TILE, slots = MOMENTS + features;
    const int64_t plane = (int64_t)width * height, tiles = (int64_t)tiles_x * ((height + TILE - 1) / TILE);
    const int32_t *start = job->tile_start + image * tiles + tile;
    if (start[0] == start[1]) return;
    const record *records = (const record *)job->records + image * job->count;
    const float *planes = job->planes + image * PLANES(features) * plane;
    const float *g_planes = to->planes + image * (features + 1) * plane;
    f8 g[BLOCKS][TILE][MAX_FEATURES], first[BLOCKS][TILE][MAX_MEANS];
    f8 later[BLOCKS][TILE], T[BLOCKS][TILE], columns[BLOCKS];
    for (int block = 0; block < BLOCKS; block++) {
        const int x = x0 + block * LANES;
        columns[block] = pixel_centres(x);
        for (int row = 0; row < TILE; row++) {
            T[block][row] = initial_T(x, y0 + row, width, height);
            /* what all splats behind contribute to the loss; each splat takes its own share off */
            f8 sum = {0};
            for (int c = 0; c < features; c++) {
                g[block][row][c] = load8(g_planes + c * plane, x, y0 + row, width, height);
                sum = fma8(load8(planes + c * plane, x, y0 + row, width, height), g[block][row][c], sum);
            }
            for (int c = 0; c < features - COLORS; c++)
                first[block][row][c] = load8(planes + (features + 1 + c) * plane, x, y0 + row, width, height);
            later[block][row] = fma8(load8(planes + features * plane, x, y0 + row, width, height),
                                     load8(g_planes + features * plane, x, y0 + row, width, height), sum);
        }
    }
    int finished = 0;
    for (int32_t k = start[0]; k < start[1]; k++) {
        float *moments = to->pairs + slots * (int64_t)job->pairs[2 * (int64_t)k + 1];
        if ((k - start[0]) % CHECK_EVERY == CHECK_EVERY - 1 && !finished) finished = tile_finished(T);
        if (finished) {
            memset(moments, 0, (size_t)slots * sizeof(float));
            continue;
        }
        fetch_ahead(records, job->pairs, k, start[1]);
        const record *s = records + job->pairs[2 * (int64_t)k];
        footprint at;
        lay(s, x0, y0, &at);
        f8 e_all = {0}, e_x = {0}, e_y = {0}, e_xx = {0}, e_xy = {0}, e_yy = {0}, g_f[MAX_FEATURES] = {{0}};
        for (int block = 0; block < BLOCKS; block++) {
            const f8 dx = columns[block] - s->x;
            f8 sum = {0}, sum_y = {0}, sum_yy = {0}; /* dx is the same in all rows of a block */
            for (unsigned rows = at.rows[block]; rows; rows &= rows - 1) {
                const int row = __builtin_ctz(rows);
                const f8 raw = raw_alpha(s, &at, dx, row), alpha = min8(raw, splat8(ALPHA_MAX)), before = T[block][row];
                const i8 counts = attenuate(&T[block][row], alpha);
                const f8 weight = keep(alpha * before, counts);
                f8 V = {0};
                for (int c = 0; c < features; c++) {
                    const f8 own = splat8(s->features[c]);
                    V = fma8(g[block][row][c], c < COLORS ? own : own - first[block][row][c - COLORS], V);
                    g_f[c] = fma8(weight, g[block][row][c], g_f[c]);
                }
                const f8 behind = later[block][row] - weight * V;
                later[block][row] = behind;
                const f8 g_alpha = before * V - behind / (1.0f - alpha);
                const f8 e = keep(g_alpha * alpha, counts & (raw < splat8(ALPHA_MAX))), e_dy = e * at.dy[row];
                sum += e;
                sum_y += e_dy;
                sum_yy = fma8(e_dy, splat8(at.dy[row]), sum_yy);
            }
            e_all += sum;
            e_x = fma8(sum, dx, e_x);
            e_xx = fma8(sum * dx, dx, e_xx);
            e_xy = fma8(sum_y, dx, e_xy);
            e_y += sum_y;
            e_yy += sum_yy;
        }
        moments[0] = sum8(e_all);
        moments[1] = sum8(e_x);
        moments[2] = sum8(e_y);
        moments[3] = sum8(e_xx);
        moments[4] = sum8(e_xy);
        moments[5] = sum8(e_yy);
        for (int c = 0; c < features; c++) moments[MOMENTS + c] = sum8(g_f[c]);
    }
}

/* From the gradients of what came out to those of what went in. -1 without memory. */
int32_t uni4d_backward(const batch *job, const gradients *to) {
    const int tiles = ((job->width + TILE - 1) / TILE) * ((job->height + TILE - 1) / TILE);
    if (unfinish(job, to)) return -1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(job->threads)
    for (int64_t at = 0; at < job->images * tiles; at++) {
        if (job->features == 4)
            tile_backward(job, to, at / tiles, (int)(at % tiles), 4);
        else
            tile_backward(job, to, at / tiles, (int)(at % tiles), 6);
    }
    return project_backward(job, to);
}

/* Differs when the structures above do; `native.py` compares them with its own. */
int64_t uni4d_abi(void) { return (int64_t)(1000 * sizeof(batch) + sizeof(gradients)); }
