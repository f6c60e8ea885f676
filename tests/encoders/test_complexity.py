import archcast as ac
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError


def test_published_network_as_numbers_and_logarithms():
    space = ac.get_space("nasbench201")
    batch = space.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    encoder = make_encoder("complexity")
    assert encoder.feature_names_out(space) == ["params", "flops", "log params", "log flops"]
    row = encoder.transform(batch)[0]
    assert row[0] == 1_531_546  # 1.53 M parameters, 220.12 M multiply-accumulates: Dong and Yang, ICLR 2020
    assert row[1] == pytest.approx(220.12e6, rel=1e-3)
    np.testing.assert_allclose(row[2:], np.log1p(row[:2].astype(float)), rtol=1e-6)


def test_a_space_that_does_not_know_is_named():
    space = ac.get_space("darts")
    encoder = make_encoder("complexity")
    for use in (encoder.columns, lambda space: encoder.transform(space.sample(2, seed=0))):
        with pytest.raises(InvalidDataError, match="needs a space that knows parameters and FLOPs, got 'darts'"):
            use(space)
