const { withKubeIsr } = require('@kube-isr/next');

module.exports = withKubeIsr({});
