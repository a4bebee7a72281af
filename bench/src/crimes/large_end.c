
/* The end of the large program: with an argument it calls a function with a freed list. */
extern void *malloc(unsigned long);
extern void free(void *);

int main(int argc, char **argv)
{
    struct node *node = malloc(sizeof *node);
    node->next = 0;
    node->value = 3;
    node->kind = 7;
    long total = operations[5](1, node);
    free(node);
    if (argc > 1)
        total += operations[sizeof operations / sizeof *operations / 2](1, node);
    return argv == 0 && total == 1;
}
