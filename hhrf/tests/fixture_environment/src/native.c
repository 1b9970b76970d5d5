/* C code in a function's library: reads and changes the environment as C code does. */
#include <stdlib.h>
#include <string.h>

extern char **environ;

const char *native_variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "unset";
}

/* How many variables there are, after one was set, one put and one removed. */
int native_changes(void) {
    static char put[] = "PUT=1";
    setenv("SET", "1", 1);
    putenv(put);
    unsetenv("REMOVED");
    int count = 0;
    for (char **entry = environ; entry && *entry; entry++) count++;
    return count;
}
