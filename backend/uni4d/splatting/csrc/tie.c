/* How edges of the node graph hold their ends together, as normal equations: the fast path of
 * Elasticity.add_strain in uni4d/fourd/elasticity.py, whose plain version is its twin and its documentation.
 * Plain C ABI, no state. */

#include <stdint.h>

#define ENDS 2
#define UNKNOWNS 6
#define BLOCK (UNKNOWNS * UNKNOWNS)

/* What one of an edge's ends does to its stretch: C [3, 3] of a turn, and `share` of a shift along each axis. */
typedef struct {
    float turn[3][3], share;
} lever;

/* A step of the end turns its arm x, over the edge's length: d/dw (w x x) = -[x]. */
static lever lever_of(const float *turn, const float *arm, float over, float sign, float share) {
    lever l;
    float x[3];
    for (int a = 0; a < 3; a++)
        x[a] = sign * over * (turn[3 * a] * arm[0] + turn[3 * a + 1] * arm[1] + turn[3 * a + 2] * arm[2]);
    const float turned[3][3] = {{0, x[2], -x[1]}, {-x[2], 0, x[0]}, {x[1], -x[0], 0}};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) l.turn[a][b] = turned[a][b];
    l.share = sign * share;
    return l;
}

/* `block` += stretch J_r^T J_c, and bend on the turns, with a sign. */
static void add_block(const lever *row, const lever *column, float stretch, float bend, float *block) {
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            const float turns = row->turn[0][i] * column->turn[0][j] + row->turn[1][i] * column->turn[1][j] +
                                row->turn[2][i] * column->turn[2][j];
            block[UNKNOWNS * i + j] += stretch * turns;
            block[UNKNOWNS * i + 3 + j] += stretch * row->turn[j][i] * column->share;
            block[UNKNOWNS * (3 + i) + j] += stretch * row->share * column->turn[i][j];
        }
    for (int i = 0; i < 3; i++) {
        block[UNKNOWNS * i + i] += bend;
        block[UNKNOWNS * (3 + i) + 3 + i] += stretch * row->share * column->share;
    }
}

/* Adds to `hessian` [nodes * nodes, 6, 6] and `gradient` [nodes, 6] the squares of `stretch` [n, 3] and `bend`
 * [n, 3] of n edges, times their `weights` [n, 2]. Of each edge: its `ends` [n, 2] (nodes), their `arms` [2, n, 3]
 * at rest, and `lengths` [n]; `turns` [nodes, 3, 3] of the nodes. */
void uni4d_tie(int64_t n, int64_t nodes, const int64_t *ends, const float *arms, const float *lengths,
               const float *turns, const float *stretch, const float *bend, const float *weights, float radius,
               float *hessian, float *gradient) {
    for (int64_t e = 0; e < n; e++) {
        const int64_t *own = ends + ENDS * e;
        const float over = 1.0f / lengths[e], share = radius * over;
        const lever levers[ENDS] = {
            lever_of(turns + 9 * own[0], arms + 3 * e, over, 1.0f, share),
            lever_of(turns + 9 * own[1], arms + 3 * (n + e), over, -1.0f, share),
        };
        const float *apart = stretch + 3 * e, *unlike = bend + 3 * e;
        const float firm = weights[2 * e], stiff = weights[2 * e + 1];
        for (int s = 0; s < ENDS; s++) {
            float *pull = gradient + UNKNOWNS * own[s];
            for (int i = 0; i < 3; i++) {
                const float(*turn)[3] = levers[s].turn;
                pull[i] += firm * (turn[0][i] * apart[0] + turn[1][i] * apart[1] + turn[2][i] * apart[2]) +
                           (s ? -stiff : stiff) * unlike[i];
                pull[3 + i] += firm * levers[s].share * apart[i];
            }
            for (int t = 0; t < ENDS; t++)
                add_block(&levers[s], &levers[t], firm, s == t ? stiff : -stiff,
                          hessian + BLOCK * (nodes * own[s] + own[t]));
        }
    }
}
