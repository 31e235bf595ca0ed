import pytest
def test_shell(shell):
    assert "arm64-virt" in shell.check("uname -n")
    assert shell.run("grep -c '^cm ' /proc/modules").code == 1
def test_module(module):
    assert module.check("ls /dev/cm").split()
    print(module.check("cat /proc/uptime; ls -la /dev/cm; dmesg | grep cm"))
def test_agent(agent, metrics_url):
    import urllib.request
    text = urllib.request.urlopen(metrics_url, timeout=30).read().decode()
    print(text[:3000])
    print(agent.check("cm-agent list; cm-agent doctor; systemctl status cm-agent.service --no-pager"))
    assert "cm_" in text
def boom():
    return 1 / 0
def test_call(board):
    with pytest.raises(AssertionError, match="1 / 0"):
        board.call(boom)
def test_other(other_board):
    with other_board(overlays=[]) as it:
        assert it.run("ls /proc/device-tree/context-shared").code != 0
@pytest.mark.lg_feature("nothing")
def test_skipped(board):
    pass
def test_guest(board):
    print(board.check("id guest; su guest -c id; setpriv --reuid guest --regid guest --clear-groups id; ls -la /dev/cm"))
def test_down(shell):
    shell.check("! ls /dev/cm/shared")
def test_warn(board):
    board.check("echo 'WARNING: not really' > /dev/kmsg")
