/* Tile-based rasterisation of 2D Gaussians on the CPU: values and hand-written gradients.
 *
 * The compositing rule is that of 3D Gaussian splatting (Kerbl et al. 2023). For a pixel at p and the
 * splats in order of depth,
 *
 *     alpha_i = min(0.99, o_i exp(-1/2 d^T Q_i d)),  d = p - m_i,  Q = [[a, b], [b, c]] ("conic")
 *     T_0 = 1,  T_{i+1} = T_i (1 - alpha_i)
 *     value = sum_i alpha_i T_i f_i
 *
 * where alpha below 1/255 counts as nothing, and a pixel is finished before the splat that would bring T to
 * 1e-4 or less. Each splat carries four features f: red, green, blue and depth. The background is not added here.
 *
 * Gradients. With V_i = f_i . g (g is the gradient of the pixel's value), g_T that of its final T,
 *
 *     dL/dalpha_i = T_i V_i - (sum_{j>i} alpha_j T_j V_j + g_T T_end) / (1 - alpha_i)
 *
 * The sum over later splats is the pixel's total, known from the forward pass, minus the running sum, so the
 * backward pass goes front to back too, repeats the forward arithmetic exactly and stores nothing per pixel.
 * With e = dL/dalpha alpha (the gradient of the exponent), all geometric gradients are moments of e over pixels.
 *
 * Every (splat, tile) pair writes its gradient to a place of its own, and they are added per splat in a fixed
 * order: the result does not depend on the number of threads.
 *
 * Plain C ABI, no global state, no allocation that outlives a call. Written with the vector extensions of GCC and
 * Clang: one vector is eight neighbouring pixels of a row.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#define TILE 16
#define LANES 8
#define BLOCKS (TILE / LANES)
#define FEATURES 4
#define GRADIENTS 10 /* mean 2, conic 3, opacity 1, features 4 */
#define ALPHA_MIN (1.0f / 255.0f)
#define ALPHA_MAX 0.99f
#define T_STOP 1e-4f
#define CHECK_EVERY 8 /* splats between two looks at whether the whole tile is finished */

typedef float f8 __attribute__((vector_size(4 * LANES)));
typedef int32_t i8 __attribute__((vector_size(4 * LANES)));

static inline f8 splat8(float v) { return (f8){v, v, v, v, v, v, v, v}; }
static inline f8 keep(f8 v, i8 mask) { return (f8)((i8)v & mask); }
static inline f8 choose(i8 mask, f8 yes, f8 no) { return (f8)(((i8)yes & mask) | ((i8)no & ~mask)); }

static inline float sum8(f8 v) {
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

static inline int any8(i8 mask) {
    typedef int64_t l4 __attribute__((vector_size(4 * LANES)));
    l4 m = (l4)mask;
    return (m[0] | m[1] | m[2] | m[3]) != 0;
}

/* exp(x) for x <= 0, to 2 ulp: 2^n by the exponent bits, the rest by its Taylor series (|r| <= ln 2 / 2). */
static inline f8 exp8(f8 x) {
    const f8 magic = splat8(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    x = choose(x > splat8(-80.0f), x, splat8(-80.0f));
    f8 t = x * 1.44269504f + magic;
    i8 n = (i8)t - (i8)magic;
    t -= magic;
    f8 r = (x - t * 0.693359375f) + t * 2.12194440e-4f;
    f8 p = splat8(1.0f / 5040.0f);
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (f8)((n + 127) << 23);
}

/* The tiles [x0, x1) x [y0, y1) that a splat can touch; empty when it cannot be seen. */
typedef struct {
    int x0, x1, y0, y1;
} rect;

static inline int clamp_int(float v, int high) { return v < 0.0f ? 0 : v > (float)high ? high : (int)v; }

static rect touched_tiles(const float *mean, const float *extent, int tiles_x, int tiles_y) {
    rect r = {0, 0, 0, 0};
    if (!(extent[0] > 0.0f)) return r;
    r.x0 = clamp_int(floorf((mean[0] - extent[0]) / TILE), tiles_x);
    r.x1 = clamp_int(floorf((mean[0] + extent[0]) / TILE) + 1.0f, tiles_x);
    r.y0 = clamp_int(floorf((mean[1] - extent[1]) / TILE), tiles_y);
    r.y1 = clamp_int(floorf((mean[1] + extent[1]) / TILE) + 1.0f, tiles_y);
    return r;
}

/* Half-sizes `extents` [n, 2] in pixels of the box where alpha >= 1/255 (0 = never), and where each splat's
 * (splat, tile) pairs begin: `first_pair` [n + 1]. Returns the number of pairs, or -1 when it exceeds 2^31. */
int64_t uni4d_count(int64_t n, const float *means, const float *conics, const float *opacities, int32_t width,
                    int32_t height, float *extents, int64_t *first_pair, int32_t threads) {
    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++) {
        const float a = conics[3 * i], b = conics[3 * i + 1], c = conics[3 * i + 2];
        const float determinant = a * c - b * b, opacity = opacities[i];
        float ex = 0.0f, ey = 0.0f;
        const int finite = fabsf(means[2 * i]) < 1e9f && fabsf(means[2 * i + 1]) < 1e9f;
        if (finite && opacity >= ALPHA_MIN && determinant > 0.0f && a > 0.0f) {
            const float reach = 2.0f * logf(opacity / ALPHA_MIN) + 1e-3f;
            ex = sqrtf(reach * c / determinant) + 1e-2f;
            ey = sqrtf(reach * a / determinant) + 1e-2f;
            if (!(ex < 1e9f && ey < 1e9f)) ex = ey = 0.0f;
        }
        extents[2 * i] = ex;
        extents[2 * i + 1] = ey;
        const rect r = touched_tiles(means + 2 * i, extents + 2 * i, tiles_x, tiles_y);
        first_pair[i + 1] = (int64_t)(r.x1 > r.x0 ? r.x1 - r.x0 : 0) * (r.y1 > r.y0 ? r.y1 - r.y0 : 0);
    }
    first_pair[0] = 0;
    for (int64_t i = 0; i < n; i++) first_pair[i + 1] += first_pair[i];
    return first_pair[n] < INT32_MAX ? first_pair[n] : -1;
}

/* Indices 0..n-1 in ascending order of depth (all >= 0), ties by index: three passes of 11 bits. */
static int sort_by_depth(int64_t n, const float *depths, int32_t *order) {
    uint32_t *keys = malloc(2 * (size_t)n * sizeof(uint32_t) + 1);
    int32_t *other = malloc((size_t)n * sizeof(int32_t) + 1);
    if (!keys || !other) {
        free(keys);
        free(other);
        return -1;
    }
    uint32_t *from_key = keys, *to_key = keys + n;
    int32_t *from = other, *to = order; /* after three passes the result is in `order` */
    for (int64_t i = 0; i < n; i++) {
        const float d = depths[i] > 0.0f ? depths[i] : 0.0f;
        memcpy(from_key + i, &d, 4);
        from[i] = (int32_t)i;
    }
    for (int shift = 0; shift < 33; shift += 11) {
        int64_t place[2048] = {0};
        for (int64_t i = 0; i < n; i++) place[(from_key[i] >> shift) & 2047]++;
        int64_t total = 0;
        for (int b = 0; b < 2048; b++) {
            const int64_t count = place[b];
            place[b] = total;
            total += count;
        }
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = place[(from_key[i] >> shift) & 2047]++;
            to_key[at] = from_key[i];
            to[at] = from[i];
        }
        uint32_t *k = from_key;
        from_key = to_key;
        to_key = k;
        int32_t *o = from;
        from = to;
        to = o;
    }
    free(keys);
    free(other);
    return 0;
}

/* The pairs of every tile, nearest splat first: `tile_start` [tiles + 1] and `pairs` [M, 2] = (splat, pair). */
int32_t uni4d_bin(int64_t n, const float *means, const float *depths, const float *extents, const int64_t *first_pair,
                  int32_t width, int32_t height, int32_t *tile_start, int32_t *pairs) {
    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
    const int tiles = tiles_x * tiles_y;
    int32_t *order = malloc((size_t)n * sizeof(int32_t) + 1);
    int32_t *cursor = malloc((size_t)tiles * sizeof(int32_t));
    if (!order || !cursor || sort_by_depth(n, depths, order)) {
        free(order);
        free(cursor);
        return -1;
    }
    memset(tile_start, 0, ((size_t)tiles + 1) * sizeof(int32_t));
    for (int64_t i = 0; i < n; i++) {
        const rect r = touched_tiles(means + 2 * i, extents + 2 * i, tiles_x, tiles_y);
        for (int y = r.y0; y < r.y1; y++)
            for (int x = r.x0; x < r.x1; x++) tile_start[y * tiles_x + x + 1]++;
    }
    for (int t = 0; t < tiles; t++) {
        tile_start[t + 1] += tile_start[t];
        cursor[t] = tile_start[t];
    }
    for (int64_t k = 0; k < n; k++) {
        const int32_t i = order[k];
        const rect r = touched_tiles(means + 2 * i, extents + 2 * i, tiles_x, tiles_y);
        int64_t pair = first_pair[i];
        for (int y = r.y0; y < r.y1; y++)
            for (int x = r.x0; x < r.x1; x++) {
                int32_t *entry = pairs + 2 * (int64_t)cursor[y * tiles_x + x]++;
                entry[0] = i;
                entry[1] = (int32_t)pair++;
            }
    }
    free(order);
    free(cursor);
    return 0;
}

/* What one splat needs in the inner loops, and the part of the tile that it can touch. */
typedef struct {
    f8 mx, a, b, opacity;
    float my, c;
    int row0, row1, block0, block1; /* rows and blocks within the tile */
} footprint;

static inline footprint footprint_in_tile(int32_t i, int x0, int y0, const float *means, const float *conics,
                                          const float *opacities, const float *extents) {
    footprint s;
    const float mx = means[2 * i], my = means[2 * i + 1], ex = extents[2 * i], ey = extents[2 * i + 1];
    s.mx = splat8(mx);
    s.my = my;
    s.a = splat8(conics[3 * i]);
    s.b = splat8(conics[3 * i + 1]);
    s.c = conics[3 * i + 2];
    s.opacity = splat8(opacities[i]);
    s.row0 = clamp_int(ceilf(my - ey - 0.5f - (float)y0), TILE);
    s.row1 = clamp_int(floorf(my + ey - 0.5f - (float)y0) + 1.0f, TILE);
    s.block0 = clamp_int(ceilf(mx - ex - 0.5f - (float)x0), TILE) / LANES;
    s.block1 = (clamp_int(floorf(mx + ex - 0.5f - (float)x0) + 1.0f, TILE) + LANES - 1) / LANES;
    return s;
}

/* alpha before clamping, for eight pixels with offsets (dx, dy) from the splat's mean. */
static inline f8 raw_alpha(const footprint *s, f8 dx, float dy) {
    const f8 exponent = (s->a * dx * dx + s->c * dy * dy) * -0.5f - s->b * dx * dy;
    return s->opacity * exp8(choose(exponent < splat8(0.0f), exponent, splat8(0.0f)));
}

static inline f8 pixel_centres(int x) {
    const float first = (float)x + 0.5f;
    return (f8){first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7};
}

/* All bits set for the pixels of a block that lie inside the image. */
static inline i8 inside(int x, int y, int width, int height) {
    const i8 column = {x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7};
    const int32_t w = y < height ? width : 0;
    return column < (i8){w, w, w, w, w, w, w, w};
}

static int tile_finished(i8 live[TILE][BLOCKS]) {
    i8 any = {0};
    for (int row = 0; row < TILE; row++)
        for (int block = 0; block < BLOCKS; block++) any |= live[row][block];
    return !any8(any);
}

/* `out` [5, height, width]: the four features and the final T. */
void uni4d_forward(const float *means, const float *conics, const float *opacities, const float *features,
                   const float *extents, const int32_t *tile_start, const int32_t *pairs, int32_t width,
                   int32_t height, float *out, int32_t threads) {
    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
    const int64_t plane = (int64_t)width * height;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int tile = 0; tile < tiles_x * tiles_y; tile++) {
        const int x0 = (tile % tiles_x) * TILE, y0 = (tile / tiles_x) * TILE;
        f8 value[FEATURES][TILE][BLOCKS], T[TILE][BLOCKS], columns[BLOCKS];
        i8 live[TILE][BLOCKS];
        memset(value, 0, sizeof value);
        for (int block = 0; block < BLOCKS; block++) columns[block] = pixel_centres(x0 + block * LANES);
        for (int row = 0; row < TILE; row++)
            for (int block = 0; block < BLOCKS; block++) {
                T[row][block] = splat8(1.0f);
                live[row][block] = inside(x0 + block * LANES, y0 + row, width, height);
            }
        for (int32_t k = tile_start[tile]; k < tile_start[tile + 1]; k++) {
            if ((k - tile_start[tile]) % CHECK_EVERY == CHECK_EVERY - 1 && tile_finished(live)) break;
            const int32_t i = pairs[2 * (int64_t)k];
            const footprint s = footprint_in_tile(i, x0, y0, means, conics, opacities, extents);
            const float *f = features + FEATURES * (int64_t)i;
            for (int row = s.row0; row < s.row1; row++) {
                const float dy = (float)(y0 + row) + 0.5f - s.my;
                for (int block = s.block0; block < s.block1; block++) {
                    f8 alpha = raw_alpha(&s, columns[block] - s.mx, dy);
                    alpha = choose(alpha < splat8(ALPHA_MAX), alpha, splat8(ALPHA_MAX));
                    const f8 before = T[row][block], after = before * (1.0f - alpha);
                    i8 counts = live[row][block] & (alpha >= splat8(ALPHA_MIN));
                    const i8 stops = counts & (after <= splat8(T_STOP));
                    live[row][block] &= ~stops;
                    counts &= ~stops;
                    const f8 weight = keep(alpha * before, counts);
                    T[row][block] = choose(counts, after, before);
                    for (int c = 0; c < FEATURES; c++) value[c][row][block] += weight * f[c];
                }
            }
        }
        const int rows = height - y0 < TILE ? height - y0 : TILE, columns_here = width - x0 < TILE ? width - x0 : TILE;
        for (int row = 0; row < rows; row++) {
            float *at = out + (int64_t)(y0 + row) * width + x0;
            const size_t bytes = (size_t)columns_here * sizeof(float);
            for (int c = 0; c < FEATURES; c++) memcpy(at + c * plane, value[c][row], bytes);
            memcpy(at + FEATURES * plane, T[row], bytes);
        }
    }
}

/* Loads one row of a tile from a plane of the image; pixels outside the image read as zero. */
static inline void load_row(f8 row[BLOCKS], const float *plane, int x0, int y, int width, int height) {
    float line[TILE] = {0};
    if (y < height) {
        const int count = width - x0 < TILE ? width - x0 : TILE;
        memcpy(line, plane + (int64_t)y * width + x0, (size_t)count * sizeof(float));
    }
    memcpy(row, line, sizeof line);
}

/* `out` and its gradient `g_out` [5, height, width] -> one gradient per pair [M, 10], zero where not reached. */
static void backward_pairs(const float *means, const float *conics, const float *opacities, const float *features,
                           const float *extents, const int32_t *tile_start, const int32_t *pairs, int32_t width,
                           int32_t height, const float *out, const float *g_out, float *g_pairs, int32_t threads) {
    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
    const int64_t plane = (int64_t)width * height;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int tile = 0; tile < tiles_x * tiles_y; tile++) {
        const int x0 = (tile % tiles_x) * TILE, y0 = (tile / tiles_x) * TILE;
        if (tile_start[tile] == tile_start[tile + 1]) continue;
        f8 g[FEATURES][TILE][BLOCKS], later[TILE][BLOCKS], T[TILE][BLOCKS], columns[BLOCKS];
        i8 live[TILE][BLOCKS];
        for (int block = 0; block < BLOCKS; block++) columns[block] = pixel_centres(x0 + block * LANES);
        for (int row = 0; row < TILE; row++) {
            f8 end[BLOCKS], g_end[BLOCKS], value[BLOCKS];
            load_row(end, out + FEATURES * plane, x0, y0 + row, width, height);
            load_row(g_end, g_out + FEATURES * plane, x0, y0 + row, width, height);
            for (int block = 0; block < BLOCKS; block++) {
                /* what all splats behind contribute to the loss; each splat takes its own share off */
                later[row][block] = end[block] * g_end[block];
                T[row][block] = splat8(1.0f);
                live[row][block] = inside(x0 + block * LANES, y0 + row, width, height);
            }
            for (int c = 0; c < FEATURES; c++) {
                load_row(value, out + c * plane, x0, y0 + row, width, height);
                load_row(g[c][row], g_out + c * plane, x0, y0 + row, width, height);
                for (int block = 0; block < BLOCKS; block++) later[row][block] += value[block] * g[c][row][block];
            }
        }
        for (int32_t k = tile_start[tile]; k < tile_start[tile + 1]; k++) {
            if ((k - tile_start[tile]) % CHECK_EVERY == CHECK_EVERY - 1 && tile_finished(live)) break;
            const int32_t i = pairs[2 * (int64_t)k];
            const footprint s = footprint_in_tile(i, x0, y0, means, conics, opacities, extents);
            const float *f = features + FEATURES * (int64_t)i;
            /* moments of e = dL/dexponent over the pixels; dy is constant along a row */
            f8 e_all = {0}, e_x = {0}, e_y = {0}, e_xx = {0}, e_xy = {0}, e_yy = {0}, g_f[FEATURES] = {{0}};
            for (int row = s.row0; row < s.row1; row++) {
                const float dy = (float)(y0 + row) + 0.5f - s.my;
                f8 row_e = {0}, row_ex = {0};
                for (int block = s.block0; block < s.block1; block++) {
                    const f8 dx = columns[block] - s.mx, raw = raw_alpha(&s, dx, dy);
                    const i8 free_alpha = raw < splat8(ALPHA_MAX);
                    const f8 alpha = choose(free_alpha, raw, splat8(ALPHA_MAX));
                    const f8 before = T[row][block], after = before * (1.0f - alpha);
                    i8 counts = live[row][block] & (alpha >= splat8(ALPHA_MIN));
                    const i8 stops = counts & (after <= splat8(T_STOP));
                    live[row][block] &= ~stops;
                    counts &= ~stops;
                    const f8 weight = keep(alpha * before, counts);
                    T[row][block] = choose(counts, after, before);
                    f8 V = {0};
                    for (int c = 0; c < FEATURES; c++) {
                        V += g[c][row][block] * f[c];
                        g_f[c] += weight * g[c][row][block];
                    }
                    const f8 behind = later[row][block] - weight * V;
                    later[row][block] = behind;
                    const f8 g_alpha = before * V - behind / (1.0f - alpha);
                    const f8 e = keep(g_alpha * alpha, counts & free_alpha);
                    row_e += e;
                    row_ex += e * dx;
                    e_xx += e * dx * dx;
                }
                e_all += row_e;
                e_x += row_ex;
                e_y += row_e * dy;
                e_xy += row_ex * dy;
                e_yy += row_e * (dy * dy);
            }
            float *to = g_pairs + GRADIENTS * (int64_t)pairs[2 * (int64_t)k + 1];
            const float a = conics[3 * i], b = conics[3 * i + 1], c = conics[3 * i + 2];
            const float ex = sum8(e_x), ey = sum8(e_y);
            to[0] = a * ex + b * ey;
            to[1] = b * ex + c * ey;
            to[2] = -0.5f * sum8(e_xx);
            to[3] = -sum8(e_xy);
            to[4] = -0.5f * sum8(e_yy);
            to[5] = sum8(e_all) / opacities[i];
            for (int ch = 0; ch < FEATURES; ch++) to[6 + ch] = sum8(g_f[ch]);
        }
    }
}

/* `g_pairs` [M, 10] must be zero; the other outputs [n, 2], [n, 3], [n], [n, 4] are overwritten. */
void uni4d_backward(int64_t n, const float *means, const float *conics, const float *opacities, const float *features,
                    const float *extents, const int64_t *first_pair, const int32_t *tile_start, const int32_t *pairs,
                    int32_t width, int32_t height, const float *out, const float *g_out, float *g_pairs,
                    float *g_means, float *g_conics, float *g_opacities, float *g_features, int32_t threads) {
    backward_pairs(means, conics, opacities, features, extents, tile_start, pairs, width, height, out, g_out, g_pairs,
                   threads);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; i++) {
        float total[GRADIENTS] = {0};
        for (int64_t pair = first_pair[i]; pair < first_pair[i + 1]; pair++)
            for (int c = 0; c < GRADIENTS; c++) total[c] += g_pairs[GRADIENTS * pair + c];
        memcpy(g_means + 2 * i, total, 2 * sizeof(float));
        memcpy(g_conics + 3 * i, total + 2, 3 * sizeof(float));
        g_opacities[i] = total[5];
        memcpy(g_features + FEATURES * i, total + 6, FEATURES * sizeof(float));
    }
}

/* Bumped with every change of a signature above. */
int32_t uni4d_abi(void) { return 1; }
