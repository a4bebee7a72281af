/* Not ours: the stack overflows. */
static int recurse(int depth)
{
    volatile char pad[4096] = { depth };
    return recurse(pad[0]) + pad[1];
}

int main(void)
{
    return recurse(1);
}
