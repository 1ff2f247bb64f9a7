"""For whoever extends Tunewell: contract suites for the four protocols, and ways to make things go wrong.

A contract suite is a class of tests. An implementation's own test file inherits it and supplies a fixture::

    class TestMySampler(SamplerContract):
        @pytest.fixture
        def sampler(self):
            return MySampler()
"""
