/* Frees what must not be freed: the word that it is given says what. */
#include "check.h"

int main(int argc, char **argv)
{
    static char global[64];
    char *volatile block = malloc(100);
    char *volatile wrong = global;
    CHECK(argc == 2);
    if (strcmp(argv[1], "foreign") == 0) {
        wrong = global + 16;
    } else if (strcmp(argv[1], "stack") == 0) {
        char local[64];
        wrong = local;
        free(wrong);
    } else if (strcmp(argv[1], "long twice") == 0) {
        wrong = malloc(1 << 20);
        free(wrong);
    } else if (strcmp(argv[1], "inside") == 0) {
        wrong = (char *)malloc(1 << 20) + 32;
    } else if (strcmp(argv[1], "realloc") == 0) {
        wrong = realloc(block + 4, 10);
    } else if (strcmp(argv[1], "twice") == 0) {
        for (int times = 0; times < 5000; times++)
            free(block);
    }
    free(wrong);
    puts("nobody noticed");
    return 0;
}
