/* C code in a function's library: reads the environment and finds files as C code does. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* The first call that does not find this file of four bytes, alone in its folder, by a relative path; or "none". */
const char *native_files(const char *folder, const char *path) {
    struct stat file;
    struct dirent **names = NULL;
    char buffer[4097];
    FILE *stream = fopen(path, "r");
    if (!stream || fclose(stream) != 0) return "fopen";
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0 || close(descriptor) != 0) return "open";
    descriptor = openat(AT_FDCWD, path, O_RDONLY);
    if (descriptor < 0 || close(descriptor) != 0) return "openat";
    if (stat(path, &file) != 0 || file.st_size != 4) return "stat";
    if (lstat(path, &file) != 0 || file.st_size != 4) return "lstat";
    if (fstatat(AT_FDCWD, path, &file, 0) != 0 || file.st_size != 4) return "fstatat";
    if (access(path, R_OK) != 0) return "access";
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0) return "faccessat";
    int count = scandir(folder, &names, NULL, alphasort);
    if (count != 3) return "scandir";
    while (count > 0) free(names[--count]);
    free(names);
    char *real = realpath(path, NULL), *canonical = canonicalize_file_name(path);
    if (!real || !canonical || strcmp(real, canonical) != 0 || stat(real, &file) != 0) return "realpath";
    char *current = getcwd(NULL, 0), *name = get_current_dir_name();
    if (!current || !name || strcmp(current, name) != 0) return "getcwd";
    if (strncmp(real, current, strlen(current)) != 0) return "getcwd and realpath";
    if (getcwd(buffer, strlen(current))) return "getcwd without room";
    if (getcwd(buffer, strlen(current) + 1) != buffer || strcmp(buffer, current) != 0) return "getcwd with a buffer";
    free(real), free(canonical), free(current), free(name);
    return "none";
}
