import pytest
def test_warn(module):
    module.put("/tmp/bb/out/arm64-virt/hello.ko", "/tmp/hello.ko")
    module.check("insmod /tmp/hello.ko; rmmod hello")
@pytest.mark.kernel_log("WARNING: CPU.*hello_init", "Call trace", "cut here")
def test_warn_expected(module):
    module.check("insmod /tmp/hello.ko; rmmod hello")
def leak():
    import os
    global kept
    from cm_agent.context import Context
    kept = Context("shared").alloc(4096*16)
def test_leak(module):
    module.check("mkdir -p /usr/lib/python3/dist-packages")
def test_broken(other_board):
    with other_board(overlays=["dts/qemu-virt-arm64.dtso", "tests/boards/arm64-virt/broken.dtso"]) as it:
        it.need("module")
        print(it.run("dmesg | tail -30; ls /dev/cm").stdout)
