/* EWA projection of splats to the image plane, with hand-written gradients: the fast path of projection.py,
 * which is its twin and its documentation. Double precision inside: it is a small part of the work, and the
 * covariances of long thin splats cancel.
 */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FRUSTUM_LIMIT 1.3
#define HALF_LOG2E 0.72134752044448170368
#define CHUNK 256 /* splats whose gradients of the cameras are added together first */
#define CAMERA 17 /* rows 0-2 of world to camera, then fx, fy, skew, cx, cy */

typedef struct {
    double rows[3][4], fx, fy, skew, cx, cy, limit_u, limit_v;
    int tilt_u, tilt_v; /* d max(c, size - c) / dc: 1, -1, or 0 in the middle */
} camera;

/* Written out: as calls they cost more than all else here, for what follows AVX code in libm waits for it. */
static inline double least(double a, double b) { return a < b ? a : b; }
static inline double most(double a, double b) { return a > b ? a : b; }

static camera read_camera(const float *view, const float *k, int width, int height) {
    camera c;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) c.rows[row][column] = view[4 * row + column];
    c.fx = k[0], c.fy = k[4], c.skew = k[1], c.cx = k[2], c.cy = k[5];
    c.limit_u = FRUSTUM_LIMIT * most(c.cx, width - c.cx) / c.fx;
    c.limit_v = FRUSTUM_LIMIT * most(c.cy, height - c.cy) / c.fy;
    c.tilt_u = (c.cx > width - c.cx) - (c.cx < width - c.cx);
    c.tilt_v = (c.cy > height - c.cy) - (c.cy < height - c.cy);
    return c;
}

/* The cameras of one image, at this moment and, with flow, at the other. */
typedef struct {
    camera here, there;
} eyes;

static eyes read_cameras(const batch *job, int64_t image) {
    eyes both;
    memset(&both, 0, sizeof both);
    both.here = read_camera(job->views + 16 * image, job->intrinsics + 9 * image, job->width, job->height);
    if (job->features > 4)
        both.there =
            read_camera(job->other_views + 16 * image, job->other_intrinsics + 9 * image, job->width, job->height);
    return both;
}

static inline double dot(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static inline void cross(const double *a, const double *b, double *out) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/* A point in the camera, and on the image. */
typedef struct {
    double world[3], z, inverse, u, v, x, y; /* u, v = X/Z, Y/Z; x, y in pixels */
} point;

static int see_point(const camera *c, const float *mean, double near, point *p) {
    for (int k = 0; k < 3; k++) p->world[k] = mean[k];
    p->z = dot(c->rows[2], p->world) + c->rows[2][3];
    if (!(p->z > near && p->z < 1e30)) return 0;
    p->inverse = 1.0 / p->z;
    p->u = (dot(c->rows[0], p->world) + c->rows[0][3]) * p->inverse;
    p->v = (dot(c->rows[1], p->world) + c->rows[1][3]) * p->inverse;
    p->x = c->fx * p->u + c->skew * p->v + c->cx;
    p->y = c->fy * p->v + c->cy;
    return fabs(p->x) < 1e9 && fabs(p->y) < 1e9;
}

/* Gradients of (u, v, 1/z, z) -> of the mean, and of the camera's rows. */
static void point_backward(const camera *c, const point *p, double g_u, double g_v, double g_inverse, double g_z,
                           float *g_mean, double *g_camera) {
    const double g[3] = {
        g_u * p->inverse, g_v * p->inverse,
        g_z - (g_inverse * p->inverse + g_u * p->u + g_v * p->v) * p->inverse,
    };
    for (int k = 0; k < 3; k++)
        g_mean[k] += (float)(c->rows[0][k] * g[0] + c->rows[1][k] * g[1] + c->rows[2][k] * g[2]);
    for (int row = 0; row < 3; row++) {
        for (int k = 0; k < 3; k++) g_camera[4 * row + k] += g[row] * p->world[k];
        g_camera[4 * row + 3] += g[row];
    }
}

/* Gradients of the pixel -> of u and v (added), and of the intrinsics. */
static void pixel_backward(const camera *c, const point *p, double g_x, double g_y, double *g_u, double *g_v,
                           double *g_camera) {
    *g_u += c->fx * g_x;
    *g_v += c->skew * g_x + c->fy * g_y;
    g_camera[12] += g_x * p->u;
    g_camera[13] += g_y * p->v;
    g_camera[14] += g_x * p->v;
    g_camera[15] += g_x;
    g_camera[16] += g_y;
}

/* The ellipse of a splat: Sigma' = P P^T + low_pass I with P = J W R S, whose rows are p and q. */
typedef struct {
    double u, v;                 /* limited to the frustum */
    double across[3], along[3];  /* rows of J W */
    double quaternion[4], length, axes[3][3]; /* unit, and the columns of its rotation */
    double along_axis[2][3];     /* rows of J W R */
    double p[3], q[3];
    double xx, xy, yy, determinant;
    double area[3], sharpness;   /* p x q; sqrt(det P P^T / det Sigma'), 1 unless antialiased */
} ellipse;

static void rotation_columns(const double *q, double a[3][3]) {
    const double w = q[0], x = q[1], y = q[2], z = q[3];
    a[0][0] = 1 - 2 * (y * y + z * z), a[0][1] = 2 * (x * y + w * z), a[0][2] = 2 * (x * z - w * y);
    a[1][0] = 2 * (x * y - w * z), a[1][1] = 1 - 2 * (x * x + z * z), a[1][2] = 2 * (y * z + w * x);
    a[2][0] = 2 * (x * z + w * y), a[2][1] = 2 * (y * z - w * x), a[2][2] = 1 - 2 * (x * x + y * y);
}

static void see_ellipse(const camera *c, const point *at, const float *quaternion, const float *scales, double low_pass,
                        int antialiased, ellipse *e) {
    e->u = least(most(at->u, -c->limit_u), c->limit_u);
    e->v = least(most(at->v, -c->limit_v), c->limit_v);
    const double pull_u = c->fx * e->u + c->skew * e->v, pull_v = c->fy * e->v;
    double square = 0.0;
    for (int k = 0; k < 3; k++) {
        e->across[k] = (c->fx * c->rows[0][k] + c->skew * c->rows[1][k] - pull_u * c->rows[2][k]) * at->inverse;
        e->along[k] = (c->fy * c->rows[1][k] - pull_v * c->rows[2][k]) * at->inverse;
    }
    for (int k = 0; k < 4; k++) square += (double)quaternion[k] * quaternion[k];
    e->length = sqrt(most(square, 1e-24));
    const double to_unit = 1.0 / e->length;
    for (int k = 0; k < 4; k++) e->quaternion[k] = quaternion[k] * to_unit;
    rotation_columns(e->quaternion, e->axes);
    e->xx = e->yy = low_pass;
    e->xy = 0.0;
    for (int j = 0; j < 3; j++) {
        e->along_axis[0][j] = dot(e->across, e->axes[j]);
        e->along_axis[1][j] = dot(e->along, e->axes[j]);
        e->p[j] = e->along_axis[0][j] * scales[j];
        e->q[j] = e->along_axis[1][j] * scales[j];
        e->xx += e->p[j] * e->p[j];
        e->xy += e->p[j] * e->q[j];
        e->yy += e->q[j] * e->q[j];
    }
    cross(e->p, e->q, e->area);
    const double own = dot(e->area, e->area); /* det P P^T, by Cauchy and Binet */
    e->determinant = own + low_pass * (e->xx + e->yy - low_pass);
    e->sharpness = antialiased ? sqrt(own / e->determinant) : 1.0;
}

static record record_of(const point *at, const ellipse *e, double opacity) {
    record r;
    memset(&r, 0, sizeof r);
    const double shown = opacity * e->sharpness;
    if (!(shown >= ALPHA_MIN && e->determinant > 0.0 && e->xx < 1e18 && e->yy < 1e18)) return r;
    const double log_shown = logf((float)shown), reach = 2.0 * (log_shown - log(ALPHA_MIN)) + 1e-3;
    const double over_yy = 1.0 / e->yy, spread = e->determinant * over_yy; /* 1 / a: the variance along a row */
    r.x = (float)at->x;
    r.y = (float)at->y;
    r.bend = (float)(-HALF_LOG2E / spread);
    r.slope = (float)(-e->xy * over_yy);
    r.fall = (float)(-HALF_LOG2E * over_yy);
    r.log_opacity = (float)(2.0 * HALF_LOG2E * log_shown);
    r.reach = (float)(reach * spread);
    r.ratio = (float)(spread * over_yy);
    r.half_width = (float)sqrt(reach * e->xx) + 1e-2f;
    r.half_height = (float)sqrt(reach * e->yy) + 1e-2f;
    return r;
}

static record see_splat(const batch *job, const eyes *by, int64_t b, int64_t i) {
    point here, there;
    ellipse e;
    record r;
    memset(&r, 0, sizeof r);
    if (!see_point(&by->here, job->means + b * job->means_step + 3 * i, job->near, &here)) return r;
    see_ellipse(&by->here, &here, job->quaternions + b * job->quaternions_step + 4 * i,
                job->scales + b * job->scales_step + 3 * i, job->low_pass, job->antialiased, &e);
    r = record_of(&here, &e, job->opacities[b * job->opacities_step + i]);
    for (int k = 0; k < 3; k++) r.features[k] = job->colors[b * job->colors_step + 3 * i + k];
    r.features[3] = (float)here.z;
    if (job->features > 4 &&
        see_point(&by->there, job->other_means + b * job->other_means_step + 3 * i, job->near, &there)) {
        r.features[4] = (float)(there.x - here.x);
        r.features[5] = (float)(there.y - here.y);
    }
    return r;
}

/* Fills `records` and `first_pair`. Returns the number of (splat, tile) pairs, or -1 when it exceeds 2^31. */
int64_t uni4d_project(const batch *job) {
    const int tiles_x = (job->width + TILE - 1) / TILE, tiles_y = (job->height + TILE - 1) / TILE;
    const int64_t n = job->count, chunks = (n + CHUNK - 1) / CHUNK, all = job->images * n;
    record *records = job->records;
#pragma omp parallel for schedule(static) num_threads(job->threads) if (job->images * n > MANY_SPLATS)
    for (int64_t chunk = 0; chunk < job->images * chunks; chunk++) {
        const int64_t b = chunk / chunks, first = (chunk % chunks) * CHUNK, end = first + CHUNK < n ? first + CHUNK : n;
        const eyes by = read_cameras(job, b);
        for (int64_t i = first; i < end; i++) {
            const record r = see_splat(job, &by, b, i);
            const rect t = touched_tiles(&r, tiles_x, tiles_y);
            const int across = t.x1 > t.x0 ? t.x1 - t.x0 : 0, down = t.y1 > t.y0 ? t.y1 - t.y0 : 0;
            records[b * n + i] = r;
            job->first_pair[b * n + i + 1] = (int64_t)across * down;
        }
    }
    job->first_pair[0] = 0;
    for (int64_t at = 0; at < all; at++) job->first_pair[at + 1] += job->first_pair[at];
    return job->first_pair[all] < INT32_MAX ? job->first_pair[all] : -1;
}

/* Gradients of the unit quaternion's rotation (g[column][row]) -> of the quaternion as it was given. */
static void quaternion_backward(const ellipse *e, double g[3][3], float *to) {
    const double w = e->quaternion[0], x = e->quaternion[1], y = e->quaternion[2], z = e->quaternion[3];
    double unit[4], radial = 0.0;
    unit[0] = 2 * (z * (g[0][1] - g[1][0]) + y * (g[2][0] - g[0][2]) + x * (g[1][2] - g[2][1]));
    unit[1] = 2 * (y * (g[1][0] + g[0][1]) + z * (g[2][0] + g[0][2]) - 2 * x * (g[1][1] + g[2][2]) +
                   w * (g[1][2] - g[2][1]));
    unit[2] = 2 * (x * (g[1][0] + g[0][1]) + z * (g[1][2] + g[2][1]) - 2 * y * (g[0][0] + g[2][2]) +
                   w * (g[2][0] - g[0][2]));
    unit[3] = 2 * (x * (g[2][0] + g[0][2]) + y * (g[1][2] + g[2][1]) - 2 * z * (g[0][0] + g[1][1]) +
                   w * (g[0][1] - g[1][0]));
    for (int k = 0; k < 4; k++) radial += unit[k] * e->quaternion[k];
    for (int k = 0; k < 4; k++) to[k] += (float)((unit[k] - radial * e->quaternion[k]) / e->length);
}

/* Gradients of Sigma' from the moments of dL/dexponent, and those of p and q. */
static void ellipse_backward(const ellipse *e, const double *moments, double opacity, double *g_p, double *g_q,
                             double *g_opacity) {
    const double a = e->yy / e->determinant, b = -e->xy / e->determinant, c = e->xx / e->determinant;
    /* exponent = -1/2 d^T Q d, so dL/dSigma' = 1/2 sum e (Q d)(Q d)^T */
    const double xx = moments[3], xy = moments[4], yy = moments[5];
    double g_xx = 0.5 * (a * a * xx + 2 * a * b * xy + b * b * yy);
    double g_xy = a * b * xx + (a * c + b * b) * xy + b * c * yy;
    double g_yy = 0.5 * (b * b * xx + 2 * b * c * xy + c * c * yy);
    *g_opacity = moments[0] / opacity;
    double g_area[3] = {0.0, 0.0, 0.0};
    const double area = sqrt(dot(e->area, e->area));
    if (e->sharpness != 1.0 && area > 0.0) { /* moments[0] = shown opacity times its gradient */
        for (int k = 0; k < 3; k++) g_area[k] = moments[0] * e->area[k] / (area * area);
        g_xx -= 0.5 * moments[0] * e->yy / e->determinant;
        g_yy -= 0.5 * moments[0] * e->xx / e->determinant;
        g_xy += moments[0] * e->xy / e->determinant;
    }
    double from_p[3], from_q[3];
    cross(e->q, g_area, from_p);
    cross(g_area, e->p, from_q);
    for (int j = 0; j < 3; j++) {
        g_p[j] = 2 * e->p[j] * g_xx + e->q[j] * g_xy + from_p[j];
        g_q[j] = 2 * e->q[j] * g_yy + e->p[j] * g_xy + from_q[j];
    }
}

/* From gradients of p and q to those of scales, quaternion, camera, 1/z and (u, v). */
static void axes_backward(const camera *c, const point *at, const ellipse *e, const float *scales, const double *g_p,
                          const double *g_q, float *g_scales, float *g_quaternion, double *g_camera, double *g_u,
                          double *g_v, double *g_inverse) {
    double g_axes[3][3], g_across[3] = {0.0, 0.0, 0.0}, g_along[3] = {0.0, 0.0, 0.0};
    for (int j = 0; j < 3; j++) {
        g_scales[j] += (float)(g_p[j] * e->along_axis[0][j] + g_q[j] * e->along_axis[1][j]);
        const double p = g_p[j] * scales[j], q = g_q[j] * scales[j];
        for (int k = 0; k < 3; k++) {
            g_axes[j][k] = p * e->across[k] + q * e->along[k];
            g_across[k] += p * e->axes[j][k];
            g_along[k] += q * e->axes[j][k];
        }
    }
    quaternion_backward(e, g_axes, g_quaternion);
    *g_inverse = (dot(g_across, e->across) + dot(g_along, e->along)) * at->z;
    const double pull_u = c->fx * e->u + c->skew * e->v, pull_v = c->fy * e->v;
    for (int k = 0; k < 3; k++) {
        const double across = g_across[k] * at->inverse, along = g_along[k] * at->inverse;
        g_camera[k] += c->fx * across;
        g_camera[4 + k] += c->skew * across + c->fy * along;
        g_camera[8 + k] -= pull_u * across + pull_v * along;
    }
    g_camera[12] += dot(g_across, c->rows[0]) * at->inverse;
    g_camera[13] += dot(g_along, c->rows[1]) * at->inverse;
    g_camera[14] += dot(g_across, c->rows[1]) * at->inverse;
    const double g_pull_u = -dot(g_across, c->rows[2]) * at->inverse;
    const double g_pull_v = -dot(g_along, c->rows[2]) * at->inverse;
    g_camera[12] += g_pull_u * e->u;
    g_camera[13] += g_pull_v * e->v;
    g_camera[14] += g_pull_u * e->v;
    const double g_limited_u = c->fx * g_pull_u, g_limited_v = c->skew * g_pull_u + c->fy * g_pull_v;
    if (e->u == at->u) {
        *g_u += g_limited_u;
    } else {
        const double g_limit = e->u > 0 ? g_limited_u : -g_limited_u;
        g_camera[12] -= g_limit * c->limit_u / c->fx;
        g_camera[15] += g_limit * FRUSTUM_LIMIT * c->tilt_u / c->fx;
    }
    if (e->v == at->v) {
        *g_v += g_limited_v;
    } else {
        const double g_limit = e->v > 0 ? g_limited_v : -g_limited_v;
        g_camera[13] -= g_limit * c->limit_v / c->fy;
        g_camera[16] += g_limit * FRUSTUM_LIMIT * c->tilt_v / c->fy;
    }
}

/* One splat of one image; `sum` [MOMENTS + F] is what its pairs say together. */
static void splat_backward(const batch *job, const eyes *by, const gradients *to, int64_t b, int64_t i,
                           const double *sum, double *g_camera, double *g_other) {
    const camera *c = &by->here, *other = &by->there;
    const float *scales = job->scales + b * job->scales_step + 3 * i;
    point here;
    ellipse e;
    see_point(c, job->means + b * job->means_step + 3 * i, job->near, &here);
    see_ellipse(c, &here, job->quaternions + b * job->quaternions_step + 4 * i, scales, job->low_pass,
                job->antialiased, &e);
    double g_p[3], g_q[3], g_opacity, g_u = 0.0, g_v = 0.0, g_inverse = 0.0;
    ellipse_backward(&e, sum, job->opacities[b * job->opacities_step + i], g_p, g_q, &g_opacity);
    to->opacities[b * job->opacities_step + i] += (float)g_opacity;
    for (int k = 0; k < 3; k++) to->colors[b * job->colors_step + 3 * i + k] += (float)sum[MOMENTS + k];
    axes_backward(c, &here, &e, scales, g_p, g_q, to->scales + b * job->scales_step + 3 * i,
                  to->quaternions + b * job->quaternions_step + 4 * i, g_camera, &g_u, &g_v, &g_inverse);
    const double conic_a = e.yy / e.determinant, conic_b = -e.xy / e.determinant, conic_c = e.xx / e.determinant;
    double g_x = conic_a * sum[1] + conic_b * sum[2], g_y = conic_b * sum[1] + conic_c * sum[2];
    if (job->features > 4) {
        point there;
        if (see_point(other, job->other_means + b * job->other_means_step + 3 * i, job->near, &there)) {
            const double moved_x = sum[MOMENTS + 4], moved_y = sum[MOMENTS + 5];
            double other_u = 0.0, other_v = 0.0;
            pixel_backward(other, &there, moved_x, moved_y, &other_u, &other_v, g_other);
            point_backward(other, &there, other_u, other_v, 0.0, 0.0,
                           to->other_means + b * job->other_means_step + 3 * i, g_other);
            g_x -= moved_x;
            g_y -= moved_y;
        }
    }
    pixel_backward(c, &here, g_x, g_y, &g_u, &g_v, g_camera);
    point_backward(c, &here, g_u, g_v, g_inverse, sum[MOMENTS + 3], to->means + b * job->means_step + 3 * i, g_camera);
}

static void write_camera(const double *from, float *view, float *intrinsics) {
    for (int k = 0; k < 12; k++) view[k] = (float)from[k];
    intrinsics[0] = (float)from[12];
    intrinsics[4] = (float)from[13];
    intrinsics[1] = (float)from[14];
    intrinsics[2] = (float)from[15];
    intrinsics[5] = (float)from[16];
}

/* Chunks of splats are added up image by image, and the chunks' cameras in their order. -1 without memory. */
int project_backward(const batch *job, const gradients *to) {
    const int64_t n = job->count, chunks = (n + CHUNK - 1) / CHUNK, width = MOMENTS + job->features;
    double *cameras = calloc((size_t)(chunks * job->images * 2 * CAMERA) + 1, sizeof(double));
    if (!cameras) return -1;
#pragma omp parallel for schedule(static) num_threads(job->threads) if (job->images * n > MANY_SPLATS)
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        for (int64_t b = 0; b < job->images; b++) {
            double *g_camera = cameras + (chunk * job->images + b) * 2 * CAMERA;
            const eyes by = read_cameras(job, b);
            const int64_t end = (chunk + 1) * CHUNK < n ? (chunk + 1) * CHUNK : n;
            for (int64_t i = chunk * CHUNK; i < end; i++) {
                const int64_t *pairs = job->first_pair + b * n + i;
                if (pairs[0] == pairs[1]) continue;
                double sum[MOMENTS + MAX_FEATURES] = {0.0};
                for (int64_t pair = pairs[0]; pair < pairs[1]; pair++)
                    for (int64_t k = 0; k < width; k++) sum[k] += to->pairs[width * pair + k];
                splat_backward(job, &by, to, b, i, sum, g_camera, g_camera + CAMERA);
            }
        }
    for (int64_t b = 0; b < job->images; b++) {
        double total[2 * CAMERA] = {0.0};
        for (int64_t chunk = 0; chunk < chunks; chunk++)
            for (int k = 0; k < 2 * CAMERA; k++) total[k] += cameras[(chunk * job->images + b) * 2 * CAMERA + k];
        write_camera(total, to->views + 16 * b, to->intrinsics + 9 * b);
        if (job->features > 4) write_camera(total + CAMERA, to->other_views + 16 * b, to->other_intrinsics + 9 * b);
    }
    free(cameras);
    return 0;
}
