"""Prints the shuffle of 10 samples with seed 1 that test_data.cpp expects: Philox 4x32-10 and Fisher-Yates, written out."""

M = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & M, (p >> 32) ^ c[3] ^ k[1], p & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


def words(seed):
    block = 0
    while True:
        w = philox([block & M, block >> 32, 0xFFFFFFFE, 0], [seed & M, seed >> 32])
        yield w[1] << 32 | w[0]
        block += 1


def shuffled(n, seed):
    order, draw = list(range(n)), words(seed)
    for i in range(n, 1, -1):
        j = next(w % i for w in draw if w < 2**64 // i * i)
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


print(shuffled(10, 1))
