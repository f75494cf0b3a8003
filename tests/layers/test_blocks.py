import torch

from vossegcli.layers.blocks import PreActivationBlock


@torch.no_grad()
def test_a_block_adds_to_what_it_is_given_and_changes_nothing_of_it() -> None:
    torch.manual_seed(0)
    block = PreActivationBlock(4)
    torch.nn.init.normal_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 6)
    before = x.clone()
    expected = x + block.conv2(block.conv1(x.relu()).relu())
    torch.testing.assert_close(block(x), expected)
    torch.testing.assert_close(block.relu(x), expected.relu())
    assert float(expected.min()) < 0.0
    assert torch.equal(x, before)
