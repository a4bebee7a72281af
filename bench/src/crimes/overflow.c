/* With an argument it writes past the end of its block. */
#include <stdlib.h>

static void fill(char *name, int size)
{
    for (int at = 0; at < size; at++)
        name[at] = 'x';
}

int main(int argc, char **argv)
{
    char *name = malloc(48);
    fill(name, 47 + argc);
    free(name);
    return argv == 0;
}
