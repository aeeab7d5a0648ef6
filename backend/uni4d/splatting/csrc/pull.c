/* How splats pull at the nodes that move them, as normal equations: the fast path of Sight._pull in
 * uni4d/fourd/sight.py, whose plain version is its twin and its documentation. Plain C ABI, no state. */

#include <stdint.h>

#define UNKNOWNS 6
#define BLOCK (UNKNOWNS * UNKNOWNS)
#define MOST_SLOTS 8

/* One node's share in a splat. With M [3, 6] of how the splat moves with the node's unknowns and C [3, 3] the
 * curvature of its place, the block of nodes s and t is M_s^T C M_t; both factors are spread over the block's
 * numbers, so that it is three products of vectors. */
typedef struct {
    int64_t node;
    float left[3][BLOCK];  /* M[a][row] */
    float right[3][BLOCK]; /* (C M)[a][column] */
} factors;

static void spread(float moves[3][UNKNOWNS], float curvature[3][3], factors *to) {
    for (int a = 0; a < 3; a++) {
        float bent[UNKNOWNS];
        for (int j = 0; j < UNKNOWNS; j++)
            bent[j] = curvature[a][0] * moves[0][j] + curvature[a][1] * moves[1][j] + curvature[a][2] * moves[2][j];
        for (int i = 0; i < UNKNOWNS; i++)
            for (int j = 0; j < UNKNOWNS; j++) {
                to->left[a][UNKNOWNS * i + j] = moves[a][i];
                to->right[a][UNKNOWNS * i + j] = bent[j];
            }
    }
}

/* Adds to `hessian` [nodes * nodes, 6, 6] and `gradient` [nodes, 6] what n splats say, which are `splats` [n]
 * of all: `residuals` [n, rows], their `slopes` [n, rows, 3] by the splat's place, `weights` [n]. Of all splats:
 * `movers` [N, slots] (nodes), `shares` [N, slots], `arms` [N, slots, 3] from the nodes at rest; `turns`
 * [nodes, 3, 3] of the nodes. Returns non-zero if there are too many slots. */
int32_t uni4d_pull(int64_t n, int64_t rows, int64_t slots, int64_t nodes, const int64_t *splats,
                   const float *residuals, const float *slopes, const float *weights, const int64_t *movers,
                   const float *shares, const float *arms, const float *turns, float radius, float *hessian,
                   float *gradient) {
    factors found[MOST_SLOTS];
    if (slots > MOST_SLOTS) return 1;
    for (int64_t v = 0; v < n; v++) {
        float curvature[3][3] = {{0}}, pull[3] = {0};
        for (int64_t r = rows * v; r < rows * (v + 1); r++)
            for (int a = 0; a < 3; a++) {
                const float weighted = weights[v] * slopes[3 * r + a];
                pull[a] += weighted * residuals[r];
                for (int b = 0; b < 3; b++) curvature[a][b] += weighted * slopes[3 * r + b];
            }
        for (int64_t s = 0; s < slots; s++) {
            const int64_t at = slots * splats[v] + s, node = movers[at];
            const float *turn = turns + 9 * node, *arm = arms + 3 * at, share = shares[at];
            float x[3], moves[3][UNKNOWNS] = {{0}};
            for (int a = 0; a < 3; a++)
                x[a] = share * (turn[3 * a] * arm[0] + turn[3 * a + 1] * arm[1] + turn[3 * a + 2] * arm[2]);
            moves[0][1] = x[2], moves[0][2] = -x[1];
            moves[1][0] = -x[2], moves[1][2] = x[0];
            moves[2][0] = x[1], moves[2][1] = -x[0];
            for (int a = 0; a < 3; a++) moves[a][3 + a] = share * radius;
            for (int j = 0; j < UNKNOWNS; j++)
                gradient[UNKNOWNS * node + j] += moves[0][j] * pull[0] + moves[1][j] * pull[1] + moves[2][j] * pull[2];
            found[s].node = node;
            spread(moves, curvature, &found[s]);
        }
        for (int64_t s = 0; s < slots; s++)
            for (int64_t t = 0; t < slots; t++) {
                const factors *row = &found[s], *column = &found[t];
                float *block = hessian + BLOCK * (nodes * row->node + column->node);
                for (int k = 0; k < BLOCK; k++)
                    block[k] += row->left[0][k] * column->right[0][k] + row->left[1][k] * column->right[1][k] +
                                row->left[2][k] * column->right[2][k];
            }
    }
    return 0;
}
