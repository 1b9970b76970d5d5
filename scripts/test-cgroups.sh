#!/usr/bin/env bash
# Runs the isolation's tests in a virtual machine whose kernel has control groups of version 2, in a group as systemd
# makes it for deploy/hhrf.service. Its file system is this machine's, read only, with what is written kept in memory.
# The processor is emulated, so that it runs anywhere; it is some ten times as slow.
#
# Needs Debian or its kin: QEMU and the kernel are its packages.
set -euo pipefail

folder=$(realpath -m "$1")
tests=(cgroups:: isolation::a_crash_costs processes::what)
# The oldest release whose kernel has all that a strict sandbox needs.
release=trixie
mkdir -p "$folder"

install_tools() {
    command -v qemu-system-x86_64 >/dev/null && command -v cpio >/dev/null && [ -x /bin/busybox ] && return
    [ "$(id -u)" = 0 ] || { echo "install qemu-system-x86, busybox-static and cpio first" >&2; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        qemu-system-x86 busybox-static cpio >/dev/null
}

# The package that linux-image-amd64 stands for, by a list of sources of its own, from where this machine has its others.
fetch_kernel() {
    [ -d "$folder/kernel" ] && return
    local lists="$folder/lists" archive name
    mkdir -p "$lists/partial"
    archive=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' | sed -n 1p)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $release main" >"$folder/sources.list"
    local from=(-o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$lists" -o APT::Sandbox::User=root)
    apt-get "${from[@]}" update -qq
    name=$(apt-cache "${from[@]}" depends linux-image-amd64 | sed -n 's/ *Depends: //p')
    (cd "$folder" && apt-get "${from[@]}" download -qq "$name" && dpkg -x "$name"_*.deb kernel.new)
    mv "$folder/kernel.new" "$folder/kernel"
}

# What runs before the machine's own file system is there.
make_initrd() {
    local root="$folder/initrd" modules number=10 module file
    modules=$(echo "$folder"/kernel/lib/modules/* "$folder"/kernel/usr/lib/modules/*)
    rm -rf "$root"
    mkdir -p "$root"/{bin,modules,lower,over,system,dev,proc}
    cp /bin/busybox "$root/bin/"
    for module in netfs fscache 9pnet virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci \
        9pnet_virtio 9p overlay; do
        # One that is not there is built in.
        # shellcheck disable=SC2086
        file=$(find $modules -name "$module.ko.xz" 2>/dev/null || true)
        [ -n "$file" ] && xz -dc "$file" >"$root/modules/$number-$module.ko"
        number=$((number + 1))
    done
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
box=/bin/busybox
$box mount -t proc proc /proc
$box mount -t devtmpfs dev /dev
for module in /modules/*; do $box insmod "$module"; done
$box mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose host /lower
$box mount -t tmpfs over /over
$box mkdir /over/upper /over/work
$box mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work over /system
$box mount -t proc proc /system/proc
$box mount -t sysfs sys /system/sys
$box mount -t devtmpfs dev /system/dev
$box mkdir -p /system/dev/shm
$box mount -t tmpfs shm /system/dev/shm
$box mount -t tmpfs tmp /system/tmp
$box mount -t cgroup2 groups /system/sys/fs/cgroup
$box ip link set lo up
$box cp /command /system/command
$box chroot /system /bin/bash /command
$box poweroff -f
INIT
    chmod +x "$root/init"
    cat >"$root/command" <<COMMAND
export PATH='$PATH' HOME='$HOME' CARGO_NET_OFFLINE=true ${CARGO_TARGET_DIR:+CARGO_TARGET_DIR='$CARGO_TARGET_DIR'}
cd '$PWD/hhrf'
groups=/sys/fs/cgroup
echo +memory +pids >\$groups/cgroup.subtree_control
mkdir -p \$groups/hhrf.service/host
echo \$\$ >\$groups/hhrf.service/host/cgroup.procs
'$program' --test-threads 1 --include-ignored ${tests[*]} && echo "all of them passed"
COMMAND
    (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$folder/initrd.gz"
}

install_tools
fetch_kernel
# Built here, and once run here, so that all that they build is there. The emulated processor wants it in release.
program=$(cargo test --release --locked -p hhrf --test it --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/it-[^"]*\)".*/\1/p')
(cd hhrf && "$program" --quiet isolation::a_function_has)
make_initrd
timeout 900 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 4096 -nographic -no-reboot -nic none \
    -kernel "$folder"/kernel/boot/vmlinuz-* -initrd "$folder/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 lsm=landlock" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap </dev/null |
    tee "$folder/output"
grep -q "^all of them passed" "$folder/output"
