import torch

from vossegcli.ops.precision import autocast


def test_float32_switches_autocast_off_and_bfloat16_switches_it_on() -> None:
    a, b = torch.rand(4, 4), torch.rand(4, 4)
    for precision in (torch.float32, torch.bfloat16):
        with autocast(torch.device("cpu"), precision):
            assert (a @ b).dtype == precision
