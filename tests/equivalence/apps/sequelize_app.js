// The same shop on Sequelize (npm install sequelize pg): node sequelize_app.js DSN
const { Sequelize, DataTypes, Op, QueryTypes } = require("sequelize");

const sequelize = new Sequelize(process.argv[2], { logging: false, pool: { max: 1 } });
const plain = { timestamps: false };
const Customer = sequelize.define("customer", {
  id: { type: DataTypes.INTEGER, primaryKey: true }, name: DataTypes.TEXT, email: DataTypes.TEXT, city: DataTypes.TEXT,
  credit: DataTypes.DECIMAL(12, 2),
}, { ...plain, tableName: "customers" });
const Order = sequelize.define("order", {
  id: { type: DataTypes.INTEGER, primaryKey: true }, customer_id: DataTypes.INTEGER, status: DataTypes.TEXT,
  amount: DataTypes.DECIMAL(12, 2), qty: DataTypes.INTEGER, note: DataTypes.TEXT, meta: DataTypes.JSONB, placed_at: DataTypes.DATE,
}, { ...plain, tableName: "orders" });
const Item = sequelize.define("item", {
  order_id: { type: DataTypes.INTEGER, primaryKey: true }, line: { type: DataTypes.INTEGER, primaryKey: true },
  product_id: DataTypes.INTEGER, price: DataTypes.DECIMAL(10, 2),
}, { ...plain, tableName: "order_items" });
Customer.hasMany(Order, { foreignKey: "customer_id" });
Order.belongsTo(Customer, { foreignKey: "customer_id" });
Order.hasMany(Item, { foreignKey: "order_id" });

async function read() {
  await Customer.findAll({ order: [["id", "ASC"]], limit: 5, offset: 2 });
  await Customer.findByPk(3);
  await Customer.findOne({ where: { city: "Oslo", credit: { [Op.gte]: 100 } }, order: ["id"] });
  await Customer.findAndCountAll({ where: { name: { [Op.iLike]: "%o%" } }, order: ["id"], limit: 3 });
  await Order.findAll({ include: [Customer], where: { qty: { [Op.between]: [2, 4] } }, order: ["id"] });
  await Customer.findAll({ include: [{ model: Order, where: { status: "paid" }, required: false }], order: ["id", [Order, "id", "ASC"]] });
  await Customer.findAll({ include: [{ model: Order, separate: true, order: ["id"], limit: 2 }], order: ["id"] });
  await Order.findAll({ include: [{ model: Item, required: true }, Customer], order: ["id", [Item, "line", "ASC"]], limit: 4 });
  await Order.findAll({ attributes: ["status", [sequelize.fn("COUNT", sequelize.col("id")), "n"]], group: ["status"], order: ["status"],
    having: sequelize.where(sequelize.fn("COUNT", sequelize.col("id")), Op.gt, 2) });
  await Order.sum("amount", { where: { [Op.or]: [{ status: "new" }, { qty: 5 }] } });
  await Order.max("placed_at");
  await Order.count({ distinct: true, col: "customer_id" });
  await Order.findAll({ where: { "meta.src": "web", note: { [Op.not]: null } }, order: ["id"] });
  await Order.findAll({ where: { meta: { [Op.contains]: { src: "app" } } }, order: [["amount", "DESC"], ["id", "ASC"]] });
  await Order.findAll({ where: { id: { [Op.in]: sequelize.literal("(SELECT order_id FROM order_items WHERE price > 20)") } }, order: ["id"] });
  await Order.findAll({ where: sequelize.where(sequelize.fn("lower", sequelize.col("note")), { [Op.like]: "note%" }), order: ["id"] });
  await sequelize.query("SELECT c.city, count(*) FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY 1 ORDER BY 1", { type: QueryTypes.SELECT });
  await sequelize.query("SELECT id FROM orders WHERE qty > $1 AND status = $2 ORDER BY id", { bind: [2, "paid"], type: QueryTypes.SELECT });
  await sequelize.query("SELECT id FROM orders WHERE amount > :least ORDER BY id", { replacements: { least: 120 }, type: QueryTypes.SELECT });
}

async function write() {
  await sequelize.transaction(async (transaction) => {
    const made = await Customer.create({ id: 901, name: "New", city: "Oslo", credit: 5 }, { transaction });
    await Order.bulkCreate([1, 2, 3].map((n) => ({ id: 910 + n, customer_id: 901, qty: n, amount: n * 2, status: "new", meta: { src: "js" } })), { transaction });
    await made.update({ city: "Bern" }, { transaction });
    await made.increment("credit", { by: 3, transaction });
    await Order.findByPk(911, { lock: true, transaction });
  });
  await Customer.upsert({ id: 902, name: "Maybe", city: "Lyon" }, { conflictFields: ["tenant_id", "id"] }).catch(() => {});
  await Order.update({ note: "many" }, { where: { customer_id: 901 }, returning: true });
  await sequelize.transaction(async (transaction) => {
    await Order.destroy({ where: { id: 912 }, transaction });
    await Customer.create({ id: 901, name: "Twice" }, { transaction });
  }).catch(() => {});
  await Order.destroy({ where: { customer_id: 901 } });
  await Customer.destroy({ where: { id: { [Op.gt]: 900 } } });
}

read().then(write).then(() => sequelize.close(), (error) => { console.error(error); process.exit(1); });
