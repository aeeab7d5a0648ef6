/* Which splats touch which tile of the image, nearest first. */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline int clamp_int(float v, int high) { return v < 0.0f ? 0 : v > (float)high ? high : (int)v; }

rect touched_tiles(const record *s, int tiles_x, int tiles_y) {
    rect r = {0, 0, 0, 0};
    if (!(s->half_width > 0.0f)) return r;
    r.x0 = clamp_int(floorf((s->x - s->half_width) / TILE), tiles_x);
    r.x1 = clamp_int(floorf((s->x + s->half_width) / TILE) + 1.0f, tiles_x);
    r.y0 = clamp_int(floorf((s->y - s->half_height) / TILE), tiles_y);
    r.y1 = clamp_int(floorf((s->y + s->half_height) / TILE) + 1.0f, tiles_y);
    return r;
}

/* `order` [n]: its n splats by ascending depth (all >= 0), ties as they came: three passes of 11 bits. `room` [3 n]. */
static void sort_by_depth(int64_t n, const record *records, int32_t *order, uint32_t *room) {
    uint32_t *from_key = room, *to_key = room + n;
    int32_t *from = order, *to = (int32_t *)(room + 2 * n);
    for (int64_t k = 0; k < n; k++) memcpy(from_key + k, &records[order[k]].features[3], 4);
    for (int shift = 0; shift < 33; shift += 11) {
        int64_t place[2048] = {0};
        for (int64_t k = 0; k < n; k++) place[(from_key[k] >> shift) & 2047]++;
        int64_t total = 0;
        for (int b = 0; b < 2048; b++) {
            const int64_t here = place[b];
            place[b] = total;
            total += here;
        }
        for (int64_t k = 0; k < n; k++) {
            const int64_t at = place[(from_key[k] >> shift) & 2047]++;
            to_key[at] = from_key[k];
            to[at] = from[k];
        }
        uint32_t *keys = from_key;
        from_key = to_key;
        to_key = keys;
        int32_t *splats = from;
        from = to;
        to = splats;
    }
    memcpy(order, from, (size_t)n * sizeof(int32_t)); /* an odd number of passes ends in `room` */
}

/* Fills this image's part of `tile_start` (all but the first entry of the batch) and `pairs`; -1 without memory. */
int bin_image(const batch *job, int64_t image) {
    const int tiles_x = (job->width + TILE - 1) / TILE, tiles_y = (job->height + TILE - 1) / TILE;
    const int tiles = tiles_x * tiles_y;
    const record *records = (const record *)job->records + image * job->count;
    const int64_t *first_pair = job->first_pair + image * job->count;
    int32_t *ends = job->tile_start + image * tiles + 1;
    int32_t *order = malloc((size_t)job->count * sizeof(int32_t) + 1);
    uint32_t *room = malloc((size_t)job->count * 3 * sizeof(uint32_t) + 1);
    int32_t *cursor = malloc((size_t)tiles * sizeof(int32_t));
    const int failed = !order || !room || !cursor;
    if (!failed) {
        int64_t seen = 0;
        memset(cursor, 0, (size_t)tiles * sizeof(int32_t));
        for (int64_t i = 0; i < job->count; i++) {
            if (first_pair[i + 1] == first_pair[i]) continue;
            order[seen++] = (int32_t)i;
            const rect r = touched_tiles(records + i, tiles_x, tiles_y);
            for (int y = r.y0; y < r.y1; y++)
                for (int x = r.x0; x < r.x1; x++) cursor[y * tiles_x + x]++;
        }
        sort_by_depth(seen, records, order, room);
        int32_t begin = (int32_t)first_pair[0];
        for (int t = 0; t < tiles; t++) {
            ends[t] = begin + cursor[t];
            cursor[t] = begin;
            begin = ends[t];
        }
        for (int64_t k = 0; k < seen; k++) {
            const int32_t i = order[k];
            const rect r = touched_tiles(records + i, tiles_x, tiles_y);
            int64_t pair = first_pair[i];
            for (int y = r.y0; y < r.y1; y++)
                for (int x = r.x0; x < r.x1; x++) {
                    int32_t *entry = job->pairs + 2 * (int64_t)cursor[y * tiles_x + x]++;
                    entry[0] = i;
                    entry[1] = (int32_t)pair++;
                }
        }
    }
    free(order);
    free(room);
    free(cursor);
    return failed ? -1 : 0;
}
