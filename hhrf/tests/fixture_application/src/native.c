/* C code in a function's library: reads the environment as C code does. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern char **environ;

/* The value of a variable, or "unset". */
const char *native_variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "unset";
}

/* Whether a variable stands in `environ`. */
int native_has(const char *name) {
    size_t length = strlen(name);
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return 1;
    }
    return 0;
}

/* The status of a shell command. */
int native_system(const char *command) {
    return system(command);
}

/* Whether a program that a shell starts sees a variable with this value. */
int native_popen(const char *name, const char *value) {
    char line[256] = "";
    FILE *pipe = popen("env", "r");
    int seen = 0;
    while (pipe && fgets(line, sizeof line, pipe)) {
        size_t length = strlen(name);
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, name, length) == 0 && line[length] == '=' && strcmp(line + length + 1, value) == 0) seen = 1;
    }
    int status = pipe ? pclose(pipe) : -1;
    pipe = popen("read line; test \"$line\" = told", "w");
    if (!pipe || fputs("told\n", pipe) < 0) return 0;
    return seen && status == 0 && pclose(pipe) == 0;
}

/* Minutes that local time was ahead of UTC in the summer of 2024, as libc has it. */
long native_offset(void) {
    time_t summer = 1720000000;
    struct tm local;
    tzset();
    localtime_r(&summer, &local);
    return local.tm_gmtoff / 60;
}
